// The JSON of OpenAI-compatible chat completions: a ModelRequest as a body, and a streamed (or
// plain) answer, chunk by chunk, as text deltas and one ModelAnswer.
// A ChunkReader belongs to a provider and serves all its calls; an AnswerAssembler belongs to one
// call. On one core's thread.
//
// Invariants: the text is valid UTF-8 at every delta; bytes that end inside a code point, and the
// first half of an escaped surrogate pair, wait for the next chunk; ill-formed ones become U+FFFD.
// A tool call leaves only through `take`, which asks that the answer has ended; one whose arguments
// were cut off by a limit never does.
//
// Source: openai/openai-openapi, CreateChatCompletion{Request,Response,StreamResponse}.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "schemas/model_call.h"

namespace parlance::llm {

struct EncodeOptions {
  std::string_view model;  ///< Where the request names none.
  /// OpenAI itself wants `max_completion_tokens`; most compatible servers know `max_tokens` only.
  bool max_completion_tokens = false;
};

/// `request` as the body of a streaming chat completion. `tools` is what encode_tools returned.
/// Its passages follow the instructions in the system message, as JSON, with the order to answer
/// from them and to obey nothing in them.
std::string encode_request(const ModelRequest& request, const EncodeOptions& options,
                           std::string_view tools);

/// The `tools` array. A declaration whose schema is not a JSON object is sent without parameters.
std::string encode_tools(const std::vector<ToolDeclaration>& tools);

/// What people should read of an error response: its message if it is JSON that has one, else the
/// start of the body. At most 200 bytes of valid UTF-8 on one line, without `secret`.
std::string error_sentence(std::string_view body, std::string_view secret);

/// What an error object inside a stream says.
struct UpstreamError {
  std::string message;
  std::string type;
  std::string code;  ///< A word or a status number, as text.
};

/// Whether the same request may succeed later, judged by the words in `type` and `code`.
bool is_transient(const UpstreamError& error);

/// Reads one chunk of JSON. Keeps buffers between chunks; holds no state of a call.
class ChunkReader {
 public:
  ChunkReader();
  ~ChunkReader();
  ChunkReader(const ChunkReader&) = delete;
  ChunkReader& operator=(const ChunkReader&) = delete;

 private:
  friend class AnswerAssembler;
  class Impl;
  std::unique_ptr<Impl> impl_;
};

class AnswerAssembler {
 public:
  enum class Outcome : unsigned char {
    taken,
    not_json,      ///< Or JSON that is no chunk; `reader` was given something else.
    too_big,       ///< Text and tool arguments are over the limit.
    error_object,  ///< The upstream reports a failure; see `error`.
  };

  /// `answer_bytes_max` bounds text and tool calls together. `fast_path` off is for tests.
  AnswerAssembler(ChunkReader& reader, std::size_t answer_bytes_max, bool fast_path = true)
      : reader_(reader), answer_bytes_max_(answer_bytes_max), fast_path_(fast_path) {}

  /// Takes one `chat.completion.chunk`, or a whole `chat.completion`.
  Outcome add(std::string_view chunk);

  /// Text that the last `add` completed; valid until the next one, and as long as its chunk.
  std::string_view delta() const { return delta_; }

  /// Ends the text: what waited for the rest of a code point, replaced. Usually nothing.
  std::string_view flush();

  /// Whether anything of the answer itself (text, reasoning, part of a tool call) has come.
  bool begun() const { return begun_; }

  /// Whether a finish reason has come: the answer is whole, only the usage may follow.
  bool ended() const { return !answer_.finish_reason.empty(); }

  const UpstreamError& error() const { return error_; }

  /// The usage that has come, if the answer ends here.
  const ModelUsage& usage() const { return answer_.usage; }

  /// The answer. Only once the upstream said that it is complete, and after `flush`.
  ModelAnswer take();

 private:
  struct ToolSlot {
    std::int64_t index = 0;
    ToolCall call;
  };

  bool take_like_the_last(std::string_view chunk);
  void remember_shape(std::string_view chunk);
  bool take_tool_fragments();
  ToolSlot* slot_of(std::int64_t index, std::string_view id);
  bool append_text(std::string_view bytes, bool escaped);

  ChunkReader& reader_;
  const std::size_t answer_bytes_max_;
  const bool fast_path_;

  std::string_view delta_;
  std::string joined_;  // The delta where it is not simply a part of the chunk.
  std::string held_;    // The start of a code point or half a surrogate pair, at most 3 bytes.
  ModelAnswer answer_;
  std::vector<ToolSlot> tools_;
  std::size_t tool_bytes_ = 0;
  bool begun_ = false;
  UpstreamError error_;

  // A chunk that differs from an earlier one in nothing but the inside of its content string means
  // the same but for that string: these are the bytes before and after it.
  std::string before_;
  std::string after_;
};

}  // namespace parlance::llm
