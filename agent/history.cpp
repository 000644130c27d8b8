#include "agent/history.h"

#include <algorithm>
#include <utility>

#include "agent/stack.h"

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

/// Adds a result for every call that has none: its run ended before the tools did. Providers refuse
/// a conversation with an open call, and with it every later message of the session.
void close_open_calls(std::vector<ChatMessage>& messages) {
  for (std::size_t i = 0; i < messages.size(); ++i) {
    std::size_t after = i + 1;  // The calls' results follow them.
    while (after < messages.size() && messages[after].role == Role::tool) ++after;
    for (const ToolCall& call : std::vector<ToolCall>(messages[i].tool_calls)) {
      const auto begin = messages.begin() + static_cast<std::ptrdiff_t>(i);
      const auto end = messages.begin() + static_cast<std::ptrdiff_t>(after);
      if (std::any_of(begin, end, [&](const auto& m) { return m.tool_call_id == call.id; })) {
        continue;
      }
      messages.insert(end, {Role::tool, "The run ended before this call did.", {}, call.id});
      ++after;
    }
  }
}

}  // namespace

void append_step(std::vector<ChatMessage>& out, const StepRecorded& step) {
  if (is_stack_step(step)) return;  // Of no model: what was found is given to it in another way.
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
    case StepType::transcript:
      if (!out.empty() && out.back().role == Role::user) out.back().text = step.text;
      break;
    case StepType::audio:
      break;
  }
}

void History::forget(const MessageId& message) {
  std::erase_if(exchanges_, [&](const Exchange& each) {
    if (each.message != message) return false;
    bytes_ -= each.bytes;
    return true;
  });
}

void History::add(const MessageId& message, std::vector<ChatMessage> exchange) {
  forget(message);
  close_open_calls(exchange);
  const std::size_t bytes = bytes_of(exchange);
  bytes_ += bytes;
  exchange.shrink_to_fit();
  exchanges_.push_back({message, std::move(exchange), bytes});
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
