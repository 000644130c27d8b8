#include "schemas/event.h"

namespace parlance {

const char* to_string(StepType type) noexcept {
  switch (type) {
    case StepType::planning:
      return "PlanningStep";
    case StepType::action:
      return "ActionStep";
    case StepType::final_answer:
      return "FinalAnswerStep";
    case StepType::partial_answer:
      return "PartialAnswerStep";
    case StepType::transcript:
      return "TranscriptStep";
    case StepType::audio:
      return "AudioStep";
  }
  return "FinalAnswerStep";
}

const MessageId& message_of(const Event& event) {
  static const MessageId none;
  return std::visit(
      [](const auto& e) -> const MessageId& {
        if constexpr (requires { e.message_id; }) {
          return e.message_id;
        } else {
          return none;
        }
      },
      event);
}

bool is_terminal(const Event& event) noexcept {
  return std::holds_alternative<RunEnded>(event) || std::holds_alternative<RunFailed>(event);
}

}  // namespace parlance
