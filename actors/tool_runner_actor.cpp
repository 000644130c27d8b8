#include "actors/tool_runner_actor.h"

#include <caf/send.hpp>

#include "base/json.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/thread.h"

namespace parlance::actors {

ToolRunnerActor::ToolRunnerActor(caf::actor_config& config, const agent::Toolbox& toolbox,
                                 std::size_t output_bytes_max)
    : ToolRunnerHandle::base(config), toolbox_(toolbox), output_bytes_max_(output_bytes_max) {}

ToolRunnerActor::behavior_type ToolRunnerActor::make_behavior() {
  name_thread("tools");
  become_background_thread();
  set_error_handler([](caf::error& /*error*/) {});
  return {[this](const RunToolCalls& batch) {
    std::vector<ToolResult> results;
    results.reserve(batch.calls.size());
    for (const ToolCall& call : batch.calls) results.push_back(run(batch, call));
    caf::anon_send(batch.caller, ToolsRan{batch.batch, std::move(results)});
  }};
}

ToolResult ToolRunnerActor::run(const RunToolCalls& batch, const ToolCall& call) const {
  metrics::get().tool_calls.add();
  ToolResult result{call.id, call.name, {}, false};
  const agent::Tool* tool = toolbox_.find(call.name);
  if (tool == nullptr) {
    result.failed = true;
    result.output = "There is no tool of that name.";
    return result;
  }
  try {
    auto output = tool->run({batch.session, agent::tool_call_key(batch.message, batch.step, call),
                             call.arguments.empty() ? "{}" : call.arguments});
    result.failed = !output.has_value();
    result.output = output ? std::move(*output) : output.error().detail;
  } catch (const std::exception& e) {
    log::error("a tool threw tool={} what={}", call.name, log::value(e.what()));
    result.failed = true;
    result.output = "The tool failed.";
  }
  if (result.failed) metrics::get().tool_failures.add();
  if (result.output.size() > output_bytes_max_) {
    result.output.resize(output_bytes_max_);
    result.output += "\n[cut: the output was longer]";
  }
  result.output = json::to_valid_utf8(result.output);
  return result;
}

}  // namespace parlance::actors
