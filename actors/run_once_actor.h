// One run without a session: reads and stores nothing, keeps the steps and returns them at its end.
// Thread: its core's. Lives for one run.
#pragma once

#include <cstdint>
#include <vector>

#include "actors/core_scheduler.h"
#include "actors/handles.h"
#include "agent/turn.h"

namespace parlance::actors {

struct CoreServices;

/// Nobody waits for the answer any more.
struct EndRun {};

/// A run that hears when its time is up.
using RunOnceHandle =
    RunHandle::extend<caf::reacts_to<Wake>, caf::reacts_to<Tick>, caf::reacts_to<EndRun>>;

class RunOnceActor final : public RunOnceHandle::base, public CoreBound {
 public:
  /// Send Wake to begin and Tick now and then. `reply` is called on the core's thread, and not at
  /// all when the actor is ended from outside; `ended` in any case, last.
  RunOnceActor(caf::actor_config& config, CoreServices& services, std::string task,
               SessionGateway::RunOnceReply reply, std::function<void()> ended);
  behavior_type make_behavior() override;
  void on_exit() override;
  const char* name() const override { return "run once"; }

 private:
  void handle(const Tick& tick);
  /// Ends the work in progress and answers with `error`.
  void end(Error error);
  void carry_out(agent::Effects effects);
  /// True when the effect was a step that the turn waits for; it needs no disk here.
  bool carry_out_one(agent::Effect& effect);

  CoreServices& services_;
  agent::Turn turn_;
  SessionGateway::RunOnceReply reply_;
  std::function<void()> ended_;
  SteadyTime started_{};
  std::uint64_t call_ = 0;
  std::uint64_t batch_ = 0;
  SteadyTime tools_started_{};
  std::vector<ToolCall> tools_running_;
  std::vector<RunOnceStep> steps_;
};

}  // namespace parlance::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(parlance::actors::EndRun)
