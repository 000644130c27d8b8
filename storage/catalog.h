// What changes of the platform's agents and sessions, and what it comes to. Carried out by
// Store::change_catalog, one after the other, each seeing those before it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "schemas/platform.h"

namespace parlance::storage {

/// Errors: already_exists (the request's key was used with another one).
struct CreateAgent {
  Agent agent;
  RepeatableRequest request;
};
/// Errors: not_found, outdated.
struct UpdateAgent {
  AgentId id;
  AgentSettings settings;
  std::optional<std::uint64_t> if_version;
  WallTime now;
};
/// Its sessions go with it when `cascade`. Errors: not_found, outdated, failed_precondition (it has
/// sessions).
struct DeleteAgent {
  AgentId id;
  std::optional<std::uint64_t> if_version;
  bool cascade = false;
};
/// Makes a client record, too, so that the session's actor knows what it is. Errors: unprocessable
/// (no such agent), already_exists.
struct CreateSession {
  PlatformSession session;
  RepeatableRequest request;
};
/// Errors: not_found, outdated, unprocessable.
struct UpdateSession {
  SessionId id;
  PlatformSessionSettings settings;
  std::optional<std::uint64_t> if_version;
  WallTime now;
};
/// Its log is still there, with a mark that it is to be erased. Errors: not_found, outdated.
struct DeleteSession {
  SessionId id;
  std::optional<std::uint64_t> if_version;
};

using CatalogChange = std::variant<CreateAgent, UpdateAgent, DeleteAgent, CreateSession,
                                   UpdateSession, DeleteSession>;

struct CatalogOutcome {
  std::shared_ptr<Agent> agent;              ///< As it is now, or was made by the first request...
  std::shared_ptr<PlatformSession> session;  ///< ...likewise; one of both, or none.
  bool replayed = false;                     ///< An earlier request with the same key made it.
  std::vector<SessionId> deleted;            ///< Sessions whose logs are to be erased.
};

}  // namespace parlance::storage
