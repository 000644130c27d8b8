// The door from sockets to the platform's agents and sessions. One per core; every call and every
// callback is on that core's thread, and every callback is called as session_gateway.h says.
// Messages go through the SessionGateway, since a platform session is a session.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "schemas/audio.h"
#include "schemas/platform.h"

namespace parlance::actors {

template <class Entity>
struct Created {
  Entity entity;          ///< As it was made, also for a repeat.
  bool replayed = false;  ///< The same request with the same key made it before.
};

/// A recording to be read: by position, since the descriptor is shared.
struct RecordingFile {
  std::shared_ptr<const UniqueFd> file;
  std::uint64_t bytes = 0;
  std::string_view type;  ///< MIME; lives for ever.
};

class PlatformGateway {
 public:
  template <class T>
  using Reply = std::function<void(Result<T>)>;
  using StatusReply = std::function<void(Status)>;

  virtual ~PlatformGateway() = default;

  // The sentence of an unprocessable begins with the JSON Pointer of the member, and a colon.
  // Replies of what changes something come after it is durable. Errors of all: unavailable,
  // corrupted. `if_version`: only when the entity has that version, else outdated.

  /// Errors: unprocessable (no such tool; the sentence names it and those there are),
  /// already_exists (the key was used with another request).
  virtual void create_agent(AgentSettings settings, RepeatableRequest request,
                            Reply<Created<Agent>> reply) = 0;
  /// Errors: not_found.
  virtual void read_agent(AgentId id, Reply<Agent> reply) = 0;
  /// Errors: not_found, outdated, unprocessable as for create_agent.
  virtual void update_agent(AgentId id, AgentSettings settings,
                            std::optional<std::uint64_t> if_version, Reply<Agent> reply) = 0;
  /// With `cascade` its sessions go with it, each as by delete_session. Errors: not_found,
  /// outdated, failed_precondition (it has sessions, and `cascade` is false).
  virtual void delete_agent(AgentId id, bool cascade, std::optional<std::uint64_t> if_version,
                            StatusReply reply) = 0;
  virtual void list_agents(ListRange range, Reply<std::vector<Agent>> reply) = 0;

  /// Errors: unprocessable (no such agent), already_exists.
  virtual void create_session(PlatformSessionSettings settings, RepeatableRequest request,
                              Reply<Created<PlatformSession>> reply) = 0;
  /// Errors: not_found.
  virtual void read_session(SessionId id, Reply<PlatformSession> reply) = 0;
  /// Errors: not_found, outdated, unprocessable (no such agent).
  virtual void update_session(SessionId id, PlatformSessionSettings settings,
                              std::optional<std::uint64_t> if_version,
                              Reply<PlatformSession> reply) = 0;
  /// Replies when it is gone, its runs are cancelled and its messages erased. What a crash cuts
  /// off there goes on after the restart. Errors: not_found, outdated; unavailable where it is
  /// deleted but not erased.
  virtual void delete_session(SessionId id, std::optional<std::uint64_t> if_version,
                              StatusReply reply) = 0;
  /// All sessions, or those of `agent`.
  virtual void list_sessions(ListRange range, std::optional<AgentId> agent,
                             Reply<std::vector<PlatformSession>> reply) = 0;

  /// Looks into the unnamed file of an upload and keeps it, where it is audio that plays, as the
  /// recording of message `name`. Errors: unsupported (no audio), unprocessable (broken), too_large
  /// (too long).
  virtual void keep_recording(SessionId session, std::string name,
                              std::shared_ptr<const UniqueFd> file, Reply<VoiceInput> reply) = 0;
  /// Errors: not_found.
  virtual void read_recording(SessionId session, std::string name, Reply<RecordingFile> reply) = 0;
  /// Of a message that was not recorded after all.
  virtual void remove_recording(SessionId session, std::string name) = 0;
};

}  // namespace parlance::actors
