// Agents and platform sessions in a real store.
#include "storage/catalog.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include "storage/store.h"
#include "tests/unit/base/temp_dir.h"

namespace parlance::storage {
namespace {

const std::string digest(32, 'd');

std::unique_ptr<Store> must_open_at(const std::string& directory) {
  Options options;
  options.directory = directory;
  options.write_buffer_bytes = 1 << 20;
  auto store = Store::open(options);
  if (!store) FAIL(store.error().detail);
  return std::move(*store);
}

/// What each change came to.
std::vector<Result<CatalogOutcome>> change(Store& store, std::vector<CatalogChange> changes) {
  auto outcomes = store.change_catalog(changes);
  REQUIRE(outcomes.has_value());
  return std::move(*outcomes);
}

CreateAgent new_agent(const std::string& id, const std::string& key = {}) {
  AgentSettings settings;
  settings.name = "of " + id;
  settings.prompt = "p";
  settings.temperature = 0.25;
  settings.tools = {"clock"};
  return {{{id}, settings, {1}, {1}}, {key, digest}};
}

CreateSession new_session(const std::string& id, const std::string& agent) {
  PlatformSessionSettings settings;
  settings.agent = {agent};
  settings.title = "of " + agent;
  return {{{id}, settings, {2}, {2}}, {}};
}

struct Fixture {
  test::TempDir directory;
  std::unique_ptr<Store> store = must_open_at(directory.path());

  std::vector<std::string> sessions_of(const std::string& agent) {
    std::vector<std::string> ids;
    for (const PlatformSession& each : store->platform_sessions({}, AgentId{agent}).value()) {
      ids.push_back(each.id.text);
    }
    return ids;
  }
};

TEST_CASE("an agent and a session are there after a restart, as they were made") {
  Fixture f;
  const CreateAgent agent = new_agent("a1");
  const CreateSession session = new_session("s1", "a1");
  change(*f.store, {agent, session});
  f.store.reset();
  f.store = must_open_at(f.directory.path());
  CHECK(f.store->agent({"a1"}).value() == agent.agent);
  CHECK(f.store->platform_session({"s1"}).value() == session.session);
  CHECK(f.store->agent_of({"s1"}).value() == agent.agent);
  CHECK(f.store->client({"s1"}).value()->scope == Scope::platform);
}

TEST_CASE("a change sees those before it in its group") {
  Fixture f;
  const auto outcomes = change(*f.store, {new_session("early", "a1"), new_agent("a1"),
                                          new_session("s1", "a1"), DeleteAgent{{"a1"}, {}, false}});
  CHECK(outcomes[0].error().code == Errc::unprocessable);
  CHECK(outcomes[2].has_value());
  CHECK(outcomes[3].error().code == Errc::failed_precondition);
}

TEST_CASE("an update raises the version, and is refused where that is not the one expected") {
  Fixture f;
  AgentSettings settings = new_agent("a1").agent.settings;
  settings.name = "new";
  const auto outcomes = change(*f.store, {new_agent("a1"), UpdateAgent{{"a1"}, settings, 1, {9}},
                                          UpdateAgent{{"a1"}, settings, 1, {10}}});
  CHECK(outcomes[1].value().agent->version == 2);
  CHECK(outcomes[1].value().agent->updated_at.ms == 9);
  CHECK(outcomes[2].error().code == Errc::outdated);
  CHECK(f.store->agent({"a1"})->settings.name == "new");
}

TEST_CASE("a request that comes again with its key makes nothing, and is told the first answer") {
  Fixture f;
  change(*f.store, {new_agent("a1", "key")});
  const auto again = change(*f.store, {new_agent("a2", "key")});
  CHECK(again[0].value().replayed);
  CHECK(again[0].value().agent->id.text == "a1");
  CHECK(f.store->agent({"a2"}).error().code == Errc::not_found);
  CreateAgent other = new_agent("a3", "key");
  other.request.digest = std::string(32, 'o');
  CHECK(change(*f.store, {other})[0].error().code == Errc::already_exists);
}

TEST_CASE("what is deleted takes its idempotency key along") {
  Fixture f;
  change(*f.store, {new_agent("a1", "key"), DeleteAgent{{"a1"}, {}, false}});
  const auto again = change(*f.store, {new_agent("a2", "key")});
  CHECK_FALSE(again[0].value().replayed);
  CHECK(f.store->agent({"a2"}).has_value());
}

TEST_CASE("a session that changes its agent is listed with the new one only") {
  Fixture f;
  PlatformSessionSettings moved = new_session("s1", "a2").session.settings;
  change(*f.store, {new_agent("a1"), new_agent("a2"), new_session("s1", "a1"),
                    UpdateSession{{"s1"}, moved, {}, {9}}});
  CHECK(f.sessions_of("a1").empty());
  CHECK(f.sessions_of("a2") == std::vector<std::string>{"s1"});
}

TEST_CASE("a deleted agent takes its sessions along, with marks that their logs go") {
  Fixture f;
  change(*f.store, {new_agent("a1"), new_agent("a2"), new_session("s1", "a1"),
                    new_session("s2", "a1"), new_session("s3", "a2")});
  const auto outcome = change(*f.store, {DeleteAgent{{"a1"}, {}, true}});
  CHECK(outcome[0].value().deleted == std::vector<SessionId>{{"s1"}, {"s2"}});
  CHECK(f.store->platform_session({"s1"}).error().code == Errc::not_found);
  CHECK(f.store->platform_session({"s3"}).has_value());
  const auto marks = f.store->begun_sets(nullptr).value();
  REQUIRE(marks.size() == 2);
  CHECK(marks[0].session.text == "s1");
  CHECK(marks[0].set == kDeletedSession);
}

TEST_CASE("a deletion is refused where the version is not the one expected") {
  Fixture f;
  change(*f.store, {new_agent("a1"), new_session("s1", "a1")});
  const auto outcomes = change(
      *f.store, {DeleteSession{{"s1"}, 2}, DeleteSession{{"s1"}, 1}, DeleteSession{{"s1"}, {}}});
  CHECK(outcomes[0].error().code == Errc::outdated);
  CHECK(outcomes[1].has_value());
  CHECK(outcomes[2].error().code == Errc::not_found);
}

TEST_CASE("lists are newest first and go on under an id") {
  Fixture f;
  std::vector<CatalogChange> changes;
  for (const char* id : {"a1", "a2", "a3", "a4"}) changes.emplace_back(new_agent(id));
  change(*f.store, std::move(changes));
  const auto first = f.store->agents({2, {}}).value();
  REQUIRE(first.size() == 2);
  CHECK(first[0].id.text == "a4");
  const auto second = f.store->agents({2, first[1].id.text}).value();
  REQUIRE(second.size() == 2);
  CHECK(second[0].id.text == "a2");
  CHECK(f.store->agents({2, second[1].id.text})->empty());
}

TEST_CASE("what was just made is found without the disk") {
  Fixture f;
  change(*f.store, {new_agent("a1"), new_session("s1", "a1")});
  CHECK(f.store->agent_in_memory({"a1"}).has_value());
  CHECK(f.store->platform_session_in_memory({"s1"}).has_value());
  CHECK_FALSE(f.store->agent_in_memory({"a2"}).has_value());
}

}  // namespace
}  // namespace parlance::storage
