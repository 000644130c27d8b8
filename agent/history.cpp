#include "agent/history.h"

#include <utility>

namespace parlance::agent {
namespace {

std::size_t bytes_of(const std::vector<ChatMessage>& messages) {
  std::size_t sum = 0;
  for (const ChatMessage& message : messages) {
    sum += message.text.size();
    for (const ToolCall& call : message.tool_calls) sum += call.name.size() + call.arguments.size();
  }
  return sum;
}

}  // namespace

void append_step(std::vector<ChatMessage>& out, const StepRecorded& step) {
  switch (step.type) {
    case StepType::planning:
      // The step's text repeats the calls for people; the model gets the calls themselves.
      out.push_back({Role::assistant, "", step.tool_calls, ""});
      break;
    case StepType::action:
      for (const ToolResult& result : step.tool_results) {
        out.push_back({Role::tool, result.output, {}, result.call_id});
      }
      break;
    case StepType::final_answer:
    case StepType::partial_answer:
      out.push_back({Role::assistant, step.text, {}, ""});
      break;
  }
}

void History::add(std::vector<ChatMessage> exchange) {
  const std::size_t bytes = bytes_of(exchange);
  bytes_ += bytes;
  exchange.shrink_to_fit();
  exchanges_.push_back({std::move(exchange), bytes});
  std::size_t forgotten = 0;
  for (; bytes_ > bytes_max_ && forgotten < exchanges_.size(); ++forgotten) {
    bytes_ -= exchanges_[forgotten].bytes;
  }
  exchanges_.erase(exchanges_.begin(), exchanges_.begin() + static_cast<std::ptrdiff_t>(forgotten));
}

std::vector<ChatMessage> History::messages() const {
  std::vector<ChatMessage> out;
  for (const Exchange& exchange : exchanges_) {
    out.insert(out.end(), exchange.messages.begin(), exchange.messages.end());
  }
  return out;
}

}  // namespace parlance::agent
