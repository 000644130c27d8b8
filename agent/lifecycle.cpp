#include "agent/lifecycle.h"

namespace parlance::agent {
namespace {

Error unknown() {
  return {Errc::unauthenticated, "this client is not known, or was deactivated; authorize anew"};
}

Error deleted() {
  return {Errc::not_found, "the session was deleted"};
}

Error unfit(const char* what) {
  return {Errc::failed_precondition, what};
}

bool initialized(LifecycleState state) {
  return state == LifecycleState::initialized || state == LifecycleState::reauthorized;
}

Result<LifecycleState> let_in_again(const ClientRecord& client) {
  if (client.scope == Scope::temporary) return unknown();
  if (client.state == LifecycleState::closed) return LifecycleState::authorized;
  return initialized(client.state) ? LifecycleState::reauthorized : client.state;
}

/// Of a chat, as whoever may read and write it can.
Result<LifecycleState> remove_chat(const ClientRecord* client) {
  if (client == nullptr) return LifecycleState::deactivated;
  if (client->state == LifecycleState::deactivated) return deleted();
  return client->scope == Scope::platform
             ? unfit("this is a session of the platform: DELETE /api/v1/session/{id} deletes it")
             : unfit(
                   "this is a session of a client: DELETE /sessions with its access token "
                   "deletes it");
}

}  // namespace

Result<LifecycleState> next_state(const ClientRecord* client, LifecycleCommand command) {
  if (command == LifecycleCommand::remove_chat) return remove_chat(client);
  if (command == LifecycleCommand::authorize) {
    if (client != nullptr) return unfit("this client exists already");
    return LifecycleState::authorized;
  }
  if (client == nullptr) return unknown();
  const bool of_platform = client->scope == Scope::platform;
  if (client->state == LifecycleState::deactivated) return of_platform ? deleted() : unknown();
  if (of_platform && command != LifecycleCommand::expire) return unknown();
  switch (command) {
    case LifecycleCommand::reauthorize:
      return let_in_again(*client);
    case LifecycleCommand::initialize:
      if (client->state == LifecycleState::initialized) {
        return unfit("the session is initialized already");
      }
      if (client->state == LifecycleState::closed) {
        return unfit("the session is closed; authorize it again first");
      }
      return LifecycleState::initialized;
    case LifecycleCommand::close:
      if (client->state == LifecycleState::closed) return unfit("the session is closed already");
      if (client->state == LifecycleState::authorized) {
        return unfit("the session is not initialized, so there is nothing to close");
      }
      return client->scope == Scope::temporary ? LifecycleState::deactivated
                                               : LifecycleState::closed;
    case LifecycleCommand::expire:
      if (client->scope == Scope::persistent) return unfit("a persistent session does not expire");
      return LifecycleState::deactivated;
    case LifecycleCommand::remove:
      return LifecycleState::deactivated;
    case LifecycleCommand::authorize:
    case LifecycleCommand::check:
    case LifecycleCommand::remove_chat:
      break;
  }
  return client->state;
}

Status takes_work(const ClientRecord* client) {
  if (client == nullptr) return unknown();
  if (client->state == LifecycleState::deactivated) {
    return client->scope == Scope::platform ? deleted() : unknown();
  }
  if (initialized(client->state)) return {};
  return client->state == LifecycleState::closed
             ? unfit("the session is closed; authorize and initialize it again first")
             : unfit("the session is not initialized; initialize it first");
}

}  // namespace parlance::agent
