// The door of one core: hands calls to the session's home core and their replies back.
// Thread: its core's.
#pragma once

#include <atomic>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "actors/core_console.h"
#include "actors/core_platform.h"
#include "actors/core_services.h"
#include "actors/run_once_actor.h"
#include "actors/session_directory.h"
#include "actors/session_gateway.h"

namespace parlance::actors {

/// What the gateways of a node share. Any thread.
struct NodeState {
  std::atomic<bool> stopping{false};
  std::atomic<bool> recovered{false};
  std::atomic<std::size_t> sessions_awake{0};
};

class CoreGateway final : public SessionGateway {
 public:
  /// `all` is the list of every core's gateway; it is complete before the first call.
  CoreGateway(caf::actor_system& system, CoreServices& services, NodeState& node,
              const std::vector<CoreGateway*>& all);

  std::size_t home_of(const SessionId& session) const override;
  void submit(const SessionId& session, SubmitMessage command, SubmitReply reply) override;
  void cancel(const SessionId& session, CancelMessage command, StatusReply reply) override;
  void ping(const SessionId& session, std::string data, PingReply reply) override;
  void snapshot(const SessionId& session, SnapshotReply reply) override;
  void read(const SessionId& session, ReadEvents range, PageReply reply) override;
  std::uint64_t run_once(std::string task, RunOnceReply reply) override;
  void cancel_run_once(std::uint64_t run) override;
  void create_client(Scope scope, AuthorizedReply reply) override;
  void refresh_client(SessionId client, std::string secret, AuthorizedReply reply) override;
  void change_lifecycle(const SessionId& client, LifecycleCommand command,
                        StatusReply reply) override;
  void store(const SessionId& client, StoreDocuments command, StoreReply reply) override;
  void await_end(const SessionId& session, MessageId message, StatusReply reply,
                 SpeechReply on_speech) override;
  void read_passages(const SessionId& session, std::vector<PassageId> ids,
                     PassagesReply reply) override;
  bool in_background(std::function<void()> work, std::function<void()> done) override;
  PlatformGateway& platform() override { return platform_; }
  ConsoleGateway& console() override { return console_; }
  bool stopping() const override;
  bool ready() const override;

  SessionDirectory& directory() { return directory_; }
  /// Ends and erases sessions that were deleted.
  void erase_deleted(std::vector<SessionId> sessions) {
    platform_.erase(std::move(sessions), [](bool) {});
  }

  /// Runs in progress, with and without a session.
  std::size_t running() const noexcept { return directory_.running() + runs_once_.size(); }
  /// Actors that are not gone yet, those that stop() ended included.
  std::size_t alive() const noexcept { return directory_.alive() + runs_once_.size(); }
  /// Once in a while: ticks what runs, naps what is idle.
  void sweep(SteadyTime now);
  /// Ends every session and run. No call may follow.
  void stop();
  /// Ends the runs without a session; each is answered with unavailable.
  void end_runs_once();

 private:
  /// Runs `work(gateway of the session's home)` on that core: at once when it is this one.
  template <class Work>
  void at_home(const SessionId& session, Work work);
  /// Sends a command whose reply is a status to the session, on its home core.
  template <class Command>
  void tell_home(const SessionId& session, Command command);
  /// `reply`, made to run on this core wherever it is called.
  template <class... Args>
  std::function<void(Args...)> back_here(std::function<void(Args...)> reply);

  caf::actor_system& system_;
  CoreServices& services_;
  NodeState& node_;
  const std::vector<CoreGateway*>& all_;
  SessionDirectory directory_;
  std::unordered_map<std::uint64_t, RunOnceHandle> runs_once_;
  CorePlatform platform_;
  CoreConsole console_;
};

}  // namespace parlance::actors
