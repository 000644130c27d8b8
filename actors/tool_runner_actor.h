// Runs the tools of a step, one after another. Thread: its own; there are Options::tool_threads.
// The session counts the time and stops waiting for a tool that hangs.
#pragma once

#include "actors/handles.h"
#include "agent/toolbox.h"

namespace parlance::actors {

class ToolRunnerActor final : public ToolRunnerHandle::base {
 public:
  ToolRunnerActor(caf::actor_config& config, const agent::Toolbox& toolbox,
                  std::size_t output_bytes_max);
  behavior_type make_behavior() override;
  const char* name() const override { return "tool runner"; }

 private:
  ToolResult run(const RunToolCalls& batch, const ToolCall& call) const;

  const agent::Toolbox& toolbox_;
  std::size_t output_bytes_max_;
};

}  // namespace parlance::actors
