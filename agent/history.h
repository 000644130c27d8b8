// The conversation as a model sees it, folded from a session's events.
// Pure. Owned by one session. Messages are kept in the order they were accepted; each brings the
// steps of its run. Trimmed from the front, a whole message with its steps at a time.
#pragma once

#include <cstddef>
#include <vector>

#include "schemas/event.h"
#include "schemas/model_call.h"

namespace parlance::agent {

/// What a step means to a model: an assistant message with its calls, tool messages, an answer, or
/// the text of the user's message before it.
void append_step(std::vector<ChatMessage>& out, const StepRecorded& step);

class History {
 public:
  explicit History(std::size_t bytes_max) : bytes_max_(bytes_max) {}

  /// Adds an ended message with its steps, and forgets the oldest ones past the limit. A call that
  /// was not answered, because its run was ended first, gets a result that says so.
  /// `message`: which it was; it takes the place of one with the same name.
  void add(const MessageId& message, std::vector<ChatMessage> exchange);

  /// Forgets a message, because it is run again.
  void forget(const MessageId& message);

  /// All remembered messages, oldest first.
  std::vector<ChatMessage> messages() const;

  std::size_t bytes() const noexcept { return bytes_; }

 private:
  struct Exchange {
    MessageId message;
    std::vector<ChatMessage> messages;
    std::size_t bytes;
  };
  std::size_t bytes_max_;
  std::size_t bytes_ = 0;
  std::vector<Exchange> exchanges_;
};

}  // namespace parlance::agent
