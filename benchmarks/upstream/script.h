#pragma once
// What the simulated upstream is told to do: a JSON list of behaviours, one per request.
//
//   [
//     {"status": 429, "retry_after": 1},                     // the first chat request
//     {"tokens": 20, "token_ms": 5, "repeat": 3},            // the next three
//     {"when": "calculate", "tool_calls": [{"name": "calculator",
//                                           "arguments": {"expression": "2+3"}}]},
//     {"text": "Good morning."}                              // all later ones
//   ]
//
// Which entry a request gets:
//   - Entries with "when" are looked at first, in order: such an entry applies to a request whose
//   last
//     message's content contains the text, as often as it comes, or "repeat" times if that is
//     given.
//   - Otherwise the entries without "when" are used up in order, each "repeat" times (default
//   once); the last
//     one stays. With none at all, the defaults of the command line apply.
//   - A request whose last message has the role "tool" is answered with text: a tool_calls entry
//   with
//     "when" skips it (unless "after_tool": true), and so does one that merely stays as the last.
//   - "route": "embeddings", "transcriptions" or "speech" makes an entry apply to that route
//   ("chat"
//     is the default); each route uses up its own entries. "when" looks at the whole body there, of
//     a recording at its start: the form's texts and the file's name.
//
// Keys of an entry, all optional:
//   text                  the whole answer; one token per word, so that all deltas join to exactly
//   it tokens, first_token_ms, token_ms, batch   as on the command line, for this answer tool_calls
//   [{"name", "arguments": object or raw string, "id"?}]; after "text", if any fragment_bytes size
//   of the pieces of tool_calls arguments (default 16; cut between characters) interleave true:
//   pieces of several tool calls take turns finish_reason         instead of "stop" or "tool_calls"
//   speech_ms             length of the silence that is the answer of the route "speech"
//   usage                 {"prompt_tokens", "completion_tokens"} instead of the counted ones
//   status                an error in OpenAI's envelope with this HTTP status
//   retry_after           seconds, as the Retry-After header of a status
//   error_message         the message of a status or of error_in_stream
//   never_answer          true: nothing is ever sent
//   headers_ms            wait before even the response head
//   garbage               true: the body is bytes that are neither SSE nor JSON nor UTF-8;
//                         "http": the response itself is not HTTP
//   stall_after_tokens    silence after so many deltas, until the client gives up (or stall_ms
//   passed) cut_at_byte           the connection ends after so many bytes of the response body
//   (before any chunk
//                         framing); with "reset": true by RST
//   split_bytes           the body in pieces of this size, each its own HTTP chunk and TCP segment;
//                         "split_ms" waits between pieces
//   crlf                  true: lines of the stream end with CR LF
//   comments              true: SSE comment lines between the events
//   missing_done          true: the stream ends without "[DONE]"
//   malformed_json_at     the delta of this number (from 0) is cut-off JSON
//   truncated_utf8_at     the delta of this number ends in half a character
//   huge_line_bytes       the first delta is a line of at least this many bytes
//   error_in_stream       true: an error object in the stream, then the end; after
//   "error_after_tokens"
//                         deltas (default: half of them)
//   close                 true: "Connection: close", and so it does

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace parlance::benchmarks {

/// One call of a tool, as the model would ask for it. `arguments` is the text that is sent.
struct ScriptedToolCall {
  std::string id;
  std::string name;
  std::string arguments;
};

enum class Garbage : uint8_t { none, body, http };
enum class Route : uint8_t { chat, embeddings, transcriptions, speech };

/// The route of that name in a script or a query.
std::optional<Route> route_of(std::string_view name);

/// One entry of a script. What is not set is as on the command line, or off.
struct Behaviour {
  // Which requests it is for.
  std::optional<std::string> when;
  std::optional<uint64_t> repeat;

  // The answer.
  std::optional<std::string> text;
  std::optional<std::string> finish_reason;
  std::optional<std::string> error_message;
  std::vector<ScriptedToolCall> tool_calls;
  std::optional<double> first_token_ms;
  std::optional<double> token_ms;
  std::optional<double> speech_ms;
  std::optional<uint64_t> prompt_tokens;
  std::optional<uint64_t> completion_tokens;
  std::optional<uint32_t> tokens;
  std::optional<uint32_t> batch;
  size_t fragment_bytes = 16;

  // Faults, and how the bytes are sent.
  std::optional<double> retry_after_s;
  std::optional<double> stall_ms;
  std::optional<uint64_t> cut_at_byte;
  std::optional<uint32_t> stall_after_tokens;
  std::optional<uint32_t> malformed_json_at;
  std::optional<uint32_t> truncated_utf8_at;
  std::optional<uint32_t> error_after_tokens;
  uint64_t huge_line_bytes = 0;
  size_t split_bytes = 0;  // 0: not split
  double split_ms = 0;
  double headers_ms = 0;
  int status = 200;
  Garbage garbage = Garbage::none;
  Route route = Route::chat;

  bool after_tool = false;
  bool interleave = false;
  bool never_answer = false;
  bool reset = false;
  bool crlf = false;
  bool comments = false;
  bool missing_done = false;
  bool error_in_stream = false;
  bool close = false;
};

/// The part of a request that decides which entry it gets.
struct ScriptQuestion {
  Route route = Route::chat;
  std::string_view last_content;
  bool last_is_tool = false;
};

/// A script with the place it has come to. Copyable; a copy goes on from the same place.
class Script {
 public:
  Script() = default;

  /// Throws std::invalid_argument with a sentence that names the entry and the key.
  static Script parse(std::string_view json);

  /// The behaviour for the next request; an all-default one where the script has nothing to say.
  Behaviour next(const ScriptQuestion& question);

 private:
  struct Entry {
    Behaviour behaviour;
    uint64_t used = 0;
  };

  Entry* find_matching(const ScriptQuestion& question);
  Entry* find_in_order(const ScriptQuestion& question);

  std::vector<Entry> entries_;
};

/// The list of keys above, for --help.
std::string_view script_help();

}  // namespace parlance::benchmarks
