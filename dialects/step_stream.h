// The step stream: the dialect of /chat/{chat_id}, /history/{chat_id} and /agent/run.
// Pure functions between bytes and the vocabulary of schemas/; any thread.
// Every encoder appends one JSON object without line breaks, so that the same text serves as a
// WebSocket message and as the data of a server-sent event.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "dialects/problem.h"
#include "schemas/command.h"
#include "schemas/event.h"
#include "schemas/ids.h"

namespace parlance::dialects::step_stream {

/// Limits on what a client may send.
struct Limits {
  std::size_t message_bytes_max = 256 << 10;  ///< `message` and `task`.
  std::size_t ping_bytes_max = 1024;          ///< `data` of a ping.
};

// ---- What a client says on the socket ----

struct GetHistory {};
struct Ping {
  std::optional<std::string> data;
};
/// A frame that is refused. It ends nothing; the socket stays open.
struct BadFrame {
  std::string error;                    ///< What was wrong and what is allowed.
  std::optional<MessageId> message_id;  ///< Of the refused message, where it was readable.
};
using ClientFrame = std::variant<SubmitMessage, CancelMessage, GetHistory, Ping, BadFrame>;

/// Reads one text frame. Unknown members are ignored.
ClientFrame parse_frame(std::string_view text, const Limits& limits);

// ---- What the server says ----

/// True when `event` is shown to a watcher: the user's own messages only with `acks`.
bool shown(const Event& event, bool acks) noexcept;

/// agent_step, message_end, agent_error or (for a message of the user) client_message.
void append_recorded(std::string& out, std::string_view chat_id, const RecordedEvent& event);

/// agent_delta, agent_reset, or agent_error of a run that could not go on.
void append_passing(std::string& out, std::string_view chat_id, const PassingEvent& event);

/// True for what is only sent to those who asked for tokens.
bool needs_tokens(const PassingEvent& event) noexcept;

void append_snapshot(std::string& out, std::string_view chat_id, const TextSnapshot& snapshot);
void append_resumed(std::string& out, const Cursor& from, const Cursor& to);
/// `history` is the text of a JSON array.
void append_gap(std::string& out, std::string_view history);
void append_history_frame(std::string& out, std::string_view chat_id, std::string_view history);
void append_error(std::string& out, std::string_view chat_id, std::string_view error,
                  const std::optional<MessageId>& message_id);
void append_pong(std::string& out, std::string_view chat_id,
                 const std::optional<std::string>& data);

/// Appends the entries of /history that `events` hold, separated by commas, without brackets.
/// Returns how many there were. Messages and steps are entries, and a failed run's error is one
/// with the step type "ErrorStep"; the end of a run is not.
std::size_t append_history(std::string& out, std::span<const RecordedEvent> events);
/// True when `event` is an entry of the history.
bool in_history(const Event& event) noexcept;

// ---- Bodies of the HTTP routes ----

/// POST /chat/{id}/messages. `message_id` is empty when the client gave none.
std::variant<SubmitMessage, Problem> parse_submit_body(std::string_view body, const Limits& limits);
/// POST /chat/{id}/cancel; an empty body cancels the run in progress.
std::variant<CancelMessage, Problem> parse_cancel_body(std::string_view body);
/// POST /agent/run: the task.
std::variant<std::string, Problem> parse_run_body(std::string_view body, const Limits& limits);

/// {"message_id","chat_id","seq","cursor","status"}.
std::string accepted_body(std::string_view chat_id, const SubmitAccepted& accepted,
                          std::string_view status);
/// Appends {"step_type","content"}.
void append_run_step(std::string& out, StepType type, std::string_view text);

/// True when `text` can be a message id: 1 to 128 bytes of UTF-8 without control characters.
bool valid_message_id(std::string_view text) noexcept;

}  // namespace parlance::dialects::step_stream
