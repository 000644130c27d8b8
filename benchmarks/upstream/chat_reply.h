#pragma once
// One answer of the simulated model, made event by event: the bytes of the next SSE event and how
// long to wait before it. Pure: no clock, no socket; the connection plays it. The order of events
// is
//   role, text deltas, tool call fragments, [error | finish, usage, "[DONE]"].
//
// Speed: everything of an event that does not change from token to token is made once per answer,
// so that a token costs a few copies of short strings.

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "benchmarks/upstream/chat_request.h"
#include "benchmarks/upstream/script.h"
#include "benchmarks/upstream/settings.h"
#include "benchmarks/upstream/vocabulary.h"

namespace parlance::benchmarks {

class ChatReply {
 public:
  static constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

  /// `vocabulary` must outlive the reply. `number` makes the id.
  ChatReply(const ChatRequest& request, Behaviour behaviour, const UpstreamSettings& settings,
            const Vocabulary& vocabulary, uint64_t number);

  bool done() const { return phase_ == Phase::ended; }

  /// The wait before the next event, counted from when the one before was due; kNever for a stall.
  int64_t wait_ns();

  /// Appends the bytes of the next event; returns how many tokens it carries.
  uint32_t append_next(std::string& out, int64_t stamp_ns);

  /// The answer to a request without "stream": its JSON body, and the wait before it.
  std::string plain_body() const;
  int64_t plain_wait_ns() const;
  uint64_t token_count() const;

 private:
  enum class Phase { role, text, tools, error, finish, usage, done_marker, ended };

  bool is_delta() const { return phase_ == Phase::text || phase_ == Phase::tools; }
  void skip_empty_phases();
  bool must_fail_now() const;
  uint32_t delta_count() const;
  uint32_t append_text(std::string& out, int64_t stamp_ns);
  void append_delta(std::string& out, std::string_view delta);
  void append_line(std::string& out, std::string_view json);
  void append_finish(std::string& out);
  std::string_view token(uint32_t index) const;
  int64_t draw_wait_ns(double mean_ms, bool heavy_tail);
  double draw_unit();
  std::string finish_reason() const;
  std::string usage_json() const;
  std::string error_json() const;

  Behaviour behaviour_;
  const Vocabulary& vocabulary_;
  uint64_t start_;
  uint64_t random_;
  bool stamp_;
  bool include_usage_;
  uint32_t batch_;
  uint32_t tokens_;
  double first_token_ms_;
  double token_ms_;
  double jitter_;
  uint64_t prompt_tokens_;
  std::string id_;
  int64_t created_s_;
  std::string model_json_;                // quoted and escaped
  std::vector<std::string> text_tokens_;  // of a scripted text, escaped; else the vocabulary's
  std::vector<std::string> fragments_;    // of tool calls, each the inside of "tool_calls": [...]
  std::string head_;                      // of an event, up to the value of "delta"
  std::string tail_;                      // from behind it to the end of the event
  std::string_view line_end_;
  Phase phase_ = Phase::role;
  uint32_t next_token_ = 0;
  uint32_t next_fragment_ = 0;
  uint32_t deltas_sent_ = 0;
  bool stall_over_ = false;
  bool out_of_tokens_ = false;
};

/// `text` as the inside of a JSON string. What is not UTF-8 is left as it is.
std::string json_escaped(std::string_view text);

/// OpenAI's error envelope with all four keys.
std::string error_envelope(std::string_view message, std::string_view type, std::string_view code);

}  // namespace parlance::benchmarks
