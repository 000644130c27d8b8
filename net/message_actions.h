// What happens to a message of the agent platform, the same for an answer in one piece and for one
// that is streamed: it is checked, submitted, and read again from the log. Coroutines; thread: the
// core that is given, which outlives them.
#pragma once

#include <string>
#include <variant>

#include <boost/asio/awaitable.hpp>

#include "dialects/platform_messages.h"
#include "dialects/problem.h"
#include "net/core.h"
#include "net/http_message.h"
#include "net/kiss_actions.h"

namespace parlance::net {

/// True for a request that open_message_stream() serves.
bool streams_message(const HttpRequest& request);

/// A message that was found good. For a retry `user` is the message that is run again.
struct PreparedMessage {
  SessionId session;
  SubmitMessage command;
  dialects::platform::Message user;
};
/// Nothing is stored yet. Of a request for message_text or message_retry.
boost::asio::awaitable<std::variant<PreparedMessage, dialects::Problem>> prepare_message(
    Core& core, const HttpRequest& request);

/// A message that is in the log.
struct SubmittedMessage {
  SessionId session;
  MessageId run;                     ///< As the log calls it.
  Cursor accepted;                   ///< Where the run begins in the log.
  dialects::platform::Message user;  ///< As it was when the run began.
  bool replayed = false;             ///< Submitted before, with the same Idempotency-Key.
};
boost::asio::awaitable<std::variant<SubmittedMessage, dialects::Problem>> submit_message(
    Core& core, PreparedMessage prepared);

/// Why the platform has no such session; success when it has.
boost::asio::awaitable<Status> find_session(Core& core, const SessionId& session);

using Answer = std::variant<dialects::platform::Message, dialects::Problem>;

/// What became of the run, once `ended` says that it has ended, or why that was not awaited; then
/// `message.user` is as the run has left it. `on_page` is called with the pages of the log that it
/// is read from; it may be empty.
boost::asio::awaitable<Answer> read_message_answer(Core& core, SubmittedMessage& message,
                                                   Status ended, OnPage on_page);

}  // namespace parlance::net
