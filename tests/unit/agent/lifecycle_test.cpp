#include "agent/lifecycle.h"

#include <optional>

#include <catch2/catch.hpp>

namespace parlance::agent {
namespace {

ClientRecord in(LifecycleState state, Scope scope = Scope::persistent) {
  ClientRecord client;
  client.scope = scope;
  client.state = state;
  return client;
}

/// The state after `command`, or the code of the refusal.
std::optional<LifecycleState> after(const ClientRecord& client, LifecycleCommand command) {
  const auto next = next_state(&client, command);
  return next ? std::optional(*next) : std::nullopt;
}
Errc refusal(const ClientRecord& client, LifecycleCommand command) {
  const auto next = next_state(&client, command);
  REQUIRE_FALSE(next.has_value());
  return next.error().code;
}

using State = LifecycleState;
using Command = LifecycleCommand;

TEST_CASE("a session goes from authorized over initialized to closed") {
  CHECK(*next_state(nullptr, Command::authorize) == State::authorized);
  CHECK(after(in(State::authorized), Command::initialize) == State::initialized);
  CHECK(after(in(State::initialized), Command::close) == State::closed);
}

TEST_CASE("a command that the state does not fit is refused") {
  CHECK(refusal(in(State::authorized), Command::authorize) == Errc::failed_precondition);
  CHECK(refusal(in(State::initialized), Command::initialize) == Errc::failed_precondition);
  CHECK(refusal(in(State::closed), Command::initialize) == Errc::failed_precondition);
  CHECK(refusal(in(State::closed), Command::close) == Errc::failed_precondition);
  CHECK(refusal(in(State::authorized), Command::close) == Errc::failed_precondition);
}

TEST_CASE("a closed temporary session is deactivated for ever") {
  CHECK(after(in(State::initialized, Scope::temporary), Command::close) == State::deactivated);
  for (const Command command :
       {Command::reauthorize, Command::check, Command::initialize, Command::close}) {
    CHECK(refusal(in(State::deactivated, Scope::temporary), command) == Errc::unauthenticated);
  }
}

TEST_CASE("a temporary session expires wherever it is in its life, a persistent one never") {
  for (const State state : {State::authorized, State::initialized}) {
    CHECK(after(in(state, Scope::temporary), Command::expire) == State::deactivated);
    CHECK(refusal(in(state), Command::expire) == Errc::failed_precondition);
  }
}

TEST_CASE("a temporary client is not let in again") {
  CHECK(refusal(in(State::initialized, Scope::temporary), Command::reauthorize) ==
        Errc::unauthenticated);
}

TEST_CASE("a closed persistent session begins anew when its client is let in again") {
  CHECK(after(in(State::closed), Command::reauthorize) == State::authorized);
}

TEST_CASE("letting a client in again disturbs no one who works, and lets it initialize") {
  CHECK(after(in(State::initialized), Command::reauthorize) == State::reauthorized);
  const ClientRecord client = in(State::reauthorized);
  CHECK(takes_work(&client).has_value());
  CHECK(after(client, Command::initialize) == State::initialized);
}

TEST_CASE("a client removes its session wherever that is in its life, and once") {
  for (const Scope scope : {Scope::temporary, Scope::persistent}) {
    for (const State state :
         {State::authorized, State::initialized, State::reauthorized, State::closed}) {
      CHECK(after(in(state, scope), Command::remove) == State::deactivated);
    }
    CHECK(refusal(in(State::deactivated, scope), Command::remove) == Errc::unauthenticated);
  }
  CHECK(refusal(in(State::initialized, Scope::platform), Command::remove) == Errc::unauthenticated);
  CHECK(next_state(nullptr, Command::remove).error().code == Errc::unauthenticated);
}

TEST_CASE("a chat is removed by anybody, a client's session and the platform's are not") {
  CHECK(*next_state(nullptr, Command::remove_chat) == State::deactivated);
  for (const Scope scope : {Scope::temporary, Scope::persistent, Scope::platform}) {
    CHECK(refusal(in(State::initialized, scope), Command::remove_chat) ==
          Errc::failed_precondition);
    CHECK(refusal(in(State::deactivated, scope), Command::remove_chat) == Errc::not_found);
  }
}

TEST_CASE("only an initialized session takes work") {
  const ClientRecord initialized = in(State::initialized);
  CHECK(takes_work(&initialized).has_value());
  const ClientRecord authorized = in(State::authorized);
  CHECK(takes_work(&authorized).error().code == Errc::failed_precondition);
  const ClientRecord closed = in(State::closed);
  CHECK(takes_work(&closed).error().code == Errc::failed_precondition);
  const ClientRecord deactivated = in(State::deactivated);
  CHECK(takes_work(&deactivated).error().code == Errc::unauthenticated);
  CHECK(takes_work(nullptr).error().code == Errc::unauthenticated);
}

}  // namespace
}  // namespace parlance::agent
