// The platform's door of one core: changes go to the persistence actor, reads to memory or to a
// reader. Thread: its core's.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "actors/core_services.h"
#include "actors/platform_gateway.h"
#include "actors/session_gateway.h"

namespace parlance::actors {

class CorePlatform final : public PlatformGateway {
 public:
  /// `sessions` is the same core's door to sessions, and outlives this.
  CorePlatform(CoreServices& services, SessionGateway& sessions);

  void create_agent(AgentSettings settings, RepeatableRequest request,
                    Reply<Created<Agent>> reply) override;
  void read_agent(AgentId id, Reply<Agent> reply) override;
  void update_agent(AgentId id, AgentSettings settings, std::optional<std::uint64_t> if_version,
                    Reply<Agent> reply) override;
  void delete_agent(AgentId id, bool cascade, std::optional<std::uint64_t> if_version,
                    StatusReply reply) override;
  void list_agents(ListRange range, Reply<std::vector<Agent>> reply) override;

  void create_session(PlatformSessionSettings settings, RepeatableRequest request,
                      Reply<Created<PlatformSession>> reply) override;
  void read_session(SessionId id, Reply<PlatformSession> reply) override;
  void update_session(SessionId id, PlatformSessionSettings settings,
                      std::optional<std::uint64_t> if_version,
                      Reply<PlatformSession> reply) override;
  void delete_session(SessionId id, std::optional<std::uint64_t> if_version,
                      StatusReply reply) override;
  void list_sessions(ListRange range, std::optional<AgentId> agent,
                     Reply<std::vector<PlatformSession>> reply) override;

  void keep_recording(SessionId session, std::string name, std::shared_ptr<const UniqueFd> file,
                      Reply<VoiceInput> reply) override;
  void read_recording(SessionId session, std::string name, Reply<RecordingFile> reply) override;
  void remove_recording(SessionId session, std::string name) override;

  /// Ends and erases sessions that were deleted, some at a time; then `done`.
  void erase(std::vector<SessionId> sessions, std::function<void(bool erased)> done);

 private:
  struct Erasing {
    std::vector<SessionId> left;
    std::size_t in_work = 0;
    bool failed = false;
    std::function<void(bool)> done;
  };

  using Outcome = Result<storage::CatalogOutcome>;

  /// Errors: unprocessable.
  Status check_tools(const AgentSettings& settings) const;
  void change(storage::CatalogChange change, std::function<void(Outcome)> done);
  /// Asks a reader. `read` must not outlive what it holds.
  template <class T>
  void read(std::function<Result<T>(const storage::Store&)> read, Reply<T> reply);
  /// Has a worker do what blocks on a file.
  template <class T>
  void at_worker(std::function<Result<T>()> work, Reply<T> reply);
  void delete_entity(storage::CatalogChange deletion, StatusReply reply);
  void erase_next(const std::shared_ptr<Erasing>& erasing);

  CoreServices& services_;
  SessionGateway& sessions_;
};

}  // namespace parlance::actors
