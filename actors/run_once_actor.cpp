#include "actors/run_once_actor.h"

#include <utility>

#include <caf/send.hpp>

#include "actors/core_services.h"

namespace parlance::actors {

RunOnceActor::RunOnceActor(caf::actor_config& config, CoreServices& services, std::string task,
                           SessionGateway::RunOnceReply reply, std::function<void()> ended)
    : RunOnceHandle::base(config),
      CoreBound(services.core),
      services_(services),
      turn_({MessageId{"task"}, std::move(task), {}, {}, {}}, services.agent_options,
            services.toolbox),
      reply_(std::move(reply)),
      ended_(std::move(ended)) {}

RunOnceActor::behavior_type RunOnceActor::make_behavior() {
  set_error_handler([](caf::error& /*error*/) {});
  return {
      [this](ModelWrote& m) {
        if (m.call == call_) carry_out(turn_.step(agent::TextArrived{std::move(m.text)}));
      },
      [this](ModelAnswered& m) {
        if (m.call == call_) carry_out(turn_.step(agent::AnswerArrived{std::move(m.answer)}));
      },
      [this](ModelFailed& m) {
        if (m.call != call_) return;
        carry_out(turn_.step(agent::CallFailed{m.code, std::move(m.detail), m.retryable}));
      },
      [this](ToolsRan& m) {
        if (m.batch != batch_) return;
        batch_ = 0;
        carry_out(turn_.step(agent::ToolsEnded{std::move(m.results)}));
      },
      [this](const Wake&) {
        started_ = std::chrono::steady_clock::now();
        carry_out(turn_.begin());
      },
      [this](const Tick& m) { handle(m); },
      [this](const EndRun&) {
        end({Errc::unavailable, "the client left before the answer"});
      },
  };
}

void RunOnceActor::handle(const Tick& tick) {
  if (tick.now - started_ >= services_.agent_options.run_timeout) {
    carry_out(turn_.step(agent::TimeUp{}));
  } else if (batch_ != 0 && tick.now - tools_started_ >= services_.agent_options.tool_timeout) {
    batch_ = 0;
    carry_out(turn_.step(agent::ToolsEnded{agent::results_of_late(tools_running_)}));
  }
}

void RunOnceActor::end(Error error) {
  if (!reply_) return;
  if (call_ != 0) tell(services_.worker(), services_.model_proxy, CancelCall{call_});
  std::exchange(reply_, nullptr)(std::move(error));
  quit();
}

void RunOnceActor::on_exit() {
  if (reply_) {
    if (call_ != 0) tell(services_.worker(), services_.model_proxy, CancelCall{call_});
    std::exchange(reply_, nullptr)(
        Error{Errc::unavailable, "the server is stopping; send it again after the restart"});
  }
  ended_();
}

void RunOnceActor::carry_out(agent::Effects effects) {
  bool recorded = false;
  for (agent::Effect& effect : effects) recorded |= carry_out_one(effect);
  if (recorded) {
    carry_out(turn_.step(agent::StepDurable{}));
  } else if (turn_.ended() && reply_) {
    // The failure, if there was one, was answered by carry_out_one.
    std::exchange(reply_, nullptr)(std::move(steps_));
    quit();
  }
}

bool RunOnceActor::carry_out_one(agent::Effect& effect) {
  if (auto* call = std::get_if<agent::CallModel>(&effect)) {
    call_ = ++services_.last_ticket;
    tell(services_.worker(), services_.model_proxy,
         StartCall{call_, std::move(call->request), RunHandle{RunOnceHandle{this}}});
  } else if (std::holds_alternative<agent::AbandonCall>(effect)) {
    tell(services_.worker(), services_.model_proxy, CancelCall{call_});
  } else if (auto* tools = std::get_if<agent::RunTools>(&effect)) {
    batch_ = ++services_.last_ticket;
    tools_started_ = std::chrono::steady_clock::now();
    tools_running_ = tools->calls;
    caf::anon_send(services_.tool_runners[batch_ % services_.tool_runners.size()],
                   RunToolCalls{batch_,
                                {},
                                turn_.message_id(),
                                tools->step,
                                std::move(tools->calls),
                                RunHandle{RunOnceHandle{this}}});
  } else if (auto* record = std::get_if<agent::Record>(&effect)) {
    for (Event& event : record->events) {
      if (auto* step = std::get_if<StepRecorded>(&event)) {
        steps_.push_back({step->type, std::move(step->text)});
      } else if (auto* failed = std::get_if<RunFailed>(&event); failed != nullptr && reply_) {
        std::exchange(reply_, nullptr)(Error{failed->code, std::move(failed->error)});
        quit();
      }
    }
    return record->step;
  }
  return false;
}

}  // namespace parlance::actors
