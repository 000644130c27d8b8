#include "benchmarks/upstream/chat_reply.h"

#include <algorithm>
#include <cmath>
#include <ctime>
#include <numbers>

#include <fmt/format.h>

#include "benchmarks/support/clock.h"

namespace parlance::benchmarks {
namespace {

int64_t ms_to_ns(double ms) {
  return static_cast<int64_t>(ms * kNsPerMs);
}

/// Words with the spaces before them, so that the pieces join to exactly `text`.
std::vector<std::string> split_words(std::string_view text) {
  std::vector<std::string> result;
  size_t begin = 0;
  for (size_t i = 1; i <= text.size(); ++i) {
    const bool word_begins = i < text.size() && text[i] == ' ' && text[i - 1] != ' ';
    if (i < text.size() && !word_begins) continue;
    result.push_back(json_escaped(text.substr(begin, i - begin)));
    begin = i;
  }
  return result;
}

/// Pieces of at least `size` bytes (but for the last), never cut inside a UTF-8 character.
std::vector<std::string_view> split_characters(std::string_view text, size_t size) {
  std::vector<std::string_view> result;
  while (!text.empty()) {
    size_t end = std::min(size, text.size());
    while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) ++end;
    result.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return result;
}

std::vector<std::string> fragments_of(const ScriptedToolCall& call, size_t index, size_t size) {
  std::vector<std::string> result;
  result.push_back(fmt::format(
      R"({{"index":{},"id":"{}","type":"function","function":{{"name":"{}","arguments":""}}}})",
      index, json_escaped(call.id), json_escaped(call.name)));
  for (const auto piece : split_characters(call.arguments, size)) {
    result.push_back(fmt::format(R"({{"index":{},"function":{{"arguments":"{}"}}}})", index,
                                 json_escaped(piece)));
  }
  return result;
}

std::vector<std::string> fragments_of(const Behaviour& behaviour) {
  std::vector<std::vector<std::string>> calls;
  for (size_t i = 0; i < behaviour.tool_calls.size(); ++i) {
    calls.push_back(fragments_of(behaviour.tool_calls[i], i, behaviour.fragment_bytes));
  }
  std::vector<std::string> result;
  if (!behaviour.interleave) {
    for (auto& call : calls) result.insert(result.end(), call.begin(), call.end());
    return result;
  }
  size_t longest = 0;
  for (const auto& call : calls) longest = std::max(longest, call.size());
  for (size_t i = 0; i < longest; ++i) {
    for (const auto& call : calls) {
      if (i < call.size()) result.push_back(call[i]);
    }
  }
  return result;
}

}  // namespace

std::string json_escaped(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
        } else {
          out += c;
        }
    }
  }
  return out;
}

std::string error_envelope(std::string_view message, std::string_view type, std::string_view code) {
  return fmt::format(R"({{"error":{{"message":"{}","type":"{}","param":null,"code":"{}"}}}})",
                     json_escaped(message), type, code);
}

ChatReply::ChatReply(const ChatRequest& request, Behaviour behaviour,
                     const UpstreamSettings& settings, const Vocabulary& vocabulary,
                     uint64_t number)
    : behaviour_(std::move(behaviour)),
      vocabulary_(vocabulary),
      start_(vocabulary.start_of(request.last_content)),
      random_(mix(settings.seed ^ number)),
      stamp_(settings.stamp),
      include_usage_(request.include_usage),
      batch_(behaviour_.batch.value_or(settings.batch)),
      tokens_(behaviour_.tokens.value_or(settings.tokens)),
      first_token_ms_(behaviour_.first_token_ms.value_or(settings.first_token_ms)),
      token_ms_(behaviour_.token_ms.value_or(settings.token_ms)),
      jitter_(settings.jitter),
      prompt_tokens_(behaviour_.prompt_tokens.value_or(request.prompt_tokens)),
      id_(fmt::format("chatcmpl-{:016x}", mix(settings.seed + number))),
      created_s_(std::time(nullptr)),
      model_json_('"' + json_escaped(request.model) + '"'),
      line_end_(behaviour_.crlf ? "\r\n" : "\n") {
  for (size_t i = 0; i < behaviour_.tool_calls.size(); ++i) {
    auto& call = behaviour_.tool_calls[i];
    if (call.id.empty()) call.id = fmt::format("call_{:x}_{}", number, i);
  }
  fragments_ = fragments_of(behaviour_);
  if (behaviour_.text) {
    text_tokens_ = split_words(*behaviour_.text);
    tokens_ = static_cast<uint32_t>(text_tokens_.size());
  } else if (!fragments_.empty() && !behaviour_.tokens) {
    tokens_ = 0;
  } else if (request.tokens_max && *request.tokens_max < tokens_) {
    tokens_ = *request.tokens_max;
    out_of_tokens_ = true;
  }
  head_ = fmt::format(
      R"(data: {{"id":"{}","object":"chat.completion.chunk","created":{},"model":{},"choices":[{{"index":0,"delta":)",
      id_, created_s_, model_json_);
  tail_ = fmt::format(R"(,"logprobs":null,"finish_reason":null}}]{}}}{}{})",
                      include_usage_ ? R"(,"usage":null)" : "", line_end_, line_end_);
}

int64_t ChatReply::wait_ns() {
  if (phase_ != Phase::role && behaviour_.stall_after_tokens == deltas_sent_ && !stall_over_) {
    stall_over_ = true;
    return behaviour_.stall_ms ? ms_to_ns(*behaviour_.stall_ms) : kNever;
  }
  if (!is_delta()) return 0;
  if (deltas_sent_ == 0) return draw_wait_ns(first_token_ms_, true);
  return draw_wait_ns(token_ms_, false) * (phase_ == Phase::text ? batch_ : 1);
}

uint32_t ChatReply::append_next(std::string& out, int64_t stamp_ns) {
  if (behaviour_.comments) {
    fmt::format_to(std::back_inserter(out), ": still thinking{0}{0}", line_end_);
  }
  uint32_t tokens = 0;
  switch (phase_) {
    case Phase::role:
      append_delta(out, R"({"role":"assistant","content":""})");
      phase_ = Phase::text;
      break;
    case Phase::text:
      tokens = append_text(out, stamp_ns);
      break;
    case Phase::tools:
      append_delta(out, fmt::format(R"({{"tool_calls":[{}]}})", fragments_[next_fragment_++]));
      ++deltas_sent_;
      tokens = 1;
      break;
    case Phase::error:
      append_line(out, error_json());
      phase_ = Phase::ended;
      break;
    case Phase::finish:
      append_finish(out);
      phase_ = Phase::usage;
      break;
    case Phase::usage:
      append_line(
          out,
          fmt::format(
              R"({{"id":"{}","object":"chat.completion.chunk","created":{},"model":{},"choices":[],"usage":{}}})",
              id_, created_s_, model_json_, usage_json()));
      phase_ = Phase::done_marker;
      break;
    case Phase::done_marker:
      append_line(out, "[DONE]");
      phase_ = Phase::ended;
      break;
    case Phase::ended:
      break;
  }
  skip_empty_phases();
  return tokens;
}

void ChatReply::skip_empty_phases() {
  if (is_delta() && must_fail_now()) phase_ = Phase::error;
  if (phase_ == Phase::text && next_token_ >= tokens_) phase_ = Phase::tools;
  if (phase_ == Phase::tools && next_fragment_ >= fragments_.size()) {
    phase_ = behaviour_.error_in_stream ? Phase::error : Phase::finish;
  }
  if (phase_ == Phase::usage && !include_usage_) phase_ = Phase::done_marker;
  if (phase_ == Phase::done_marker && behaviour_.missing_done) phase_ = Phase::ended;
}

bool ChatReply::must_fail_now() const {
  if (!behaviour_.error_in_stream) return false;
  return deltas_sent_ >= behaviour_.error_after_tokens.value_or(delta_count() / 2);
}

uint32_t ChatReply::delta_count() const {
  return (tokens_ + batch_ - 1) / batch_ + static_cast<uint32_t>(fragments_.size());
}

uint32_t ChatReply::append_text(std::string& out, int64_t stamp_ns) {
  out += head_;
  out += R"({"content":")";
  if (stamp_) {
    const fmt::format_int stamp_text(stamp_ns);
    out.append(stamp_text.data(), stamp_text.size());
    out += '|';
  }
  if (deltas_sent_ == 0) out.append(behaviour_.huge_line_bytes, 'x');
  const uint32_t end = std::min(next_token_ + batch_, tokens_);
  const uint32_t count = end - next_token_;
  while (next_token_ < end) out += token(next_token_++);
  if (behaviour_.truncated_utf8_at == deltas_sent_) out += "\xD9";
  if (behaviour_.malformed_json_at == deltas_sent_) {
    out += line_end_;
    out += line_end_;
  } else {
    out += "\"}";
    out += tail_;
  }
  ++deltas_sent_;
  return count;
}

std::string_view ChatReply::token(uint32_t index) const {
  if (behaviour_.text) return text_tokens_[index];
  return vocabulary_.token(start_, index);
}

void ChatReply::append_delta(std::string& out, std::string_view delta) {
  out += head_;
  if (is_delta() && behaviour_.malformed_json_at == deltas_sent_) {
    out += delta.substr(0, delta.size() / 2);
    out += line_end_;
    out += line_end_;
    return;
  }
  out += delta;
  out += tail_;
}

void ChatReply::append_line(std::string& out, std::string_view json) {
  out += "data: ";
  out += json;
  out += line_end_;
  out += line_end_;
}

void ChatReply::append_finish(std::string& out) {
  out += head_;
  fmt::format_to(std::back_inserter(out), R"({{}},"logprobs":null,"finish_reason":"{}"}}]{}}}{}{})",
                 finish_reason(), include_usage_ ? R"(,"usage":null)" : "", line_end_, line_end_);
}

std::string ChatReply::plain_body() const {
  std::string content = R"(null)";
  if (tokens_ > 0 || fragments_.empty()) {
    content = '"';
    for (uint32_t i = 0; i < tokens_; ++i) content += token(i);
    content += '"';
  }
  std::string calls;
  for (const auto& call : behaviour_.tool_calls) {
    fmt::format_to(
        std::back_inserter(calls),
        R"({}{{"id":"{}","type":"function","function":{{"name":"{}","arguments":"{}"}}}})",
        calls.empty() ? "" : ",", json_escaped(call.id), json_escaped(call.name),
        json_escaped(call.arguments));
  }
  if (!calls.empty()) calls = R"(,"tool_calls":[)" + calls + "]";
  return fmt::format(
      R"({{"id":"{}","object":"chat.completion","created":{},"model":{},"choices":[{{"index":0,)"
      R"("message":{{"role":"assistant","content":{},"refusal":null{}}},"logprobs":null,)"
      R"("finish_reason":"{}"}}],"usage":{}}})",
      id_, created_s_, model_json_, content, calls, finish_reason(), usage_json());
}

int64_t ChatReply::plain_wait_ns() const {
  const uint64_t later = delta_count() > 0 ? delta_count() - 1 : 0;
  return ms_to_ns(first_token_ms_) + ms_to_ns(token_ms_) * static_cast<int64_t>(later * batch_);
}

uint64_t ChatReply::token_count() const {
  return tokens_ + fragments_.size();
}

int64_t ChatReply::draw_wait_ns(double mean_ms, bool heavy_tail) {
  if (jitter_ <= 0 || mean_ms <= 0) return ms_to_ns(mean_ms);
  if (heavy_tail) {
    const double radius = std::sqrt(-2 * std::log(draw_unit()));
    const double normal = radius * std::cos(2 * std::numbers::pi * draw_unit());
    return ms_to_ns(mean_ms * std::exp(jitter_ * normal));
  }
  const double exponential = -std::log(draw_unit());
  return ms_to_ns(mean_ms * (1 - std::min(jitter_, 1.0) * (1 - exponential)));
}

/// In (0, 1].
double ChatReply::draw_unit() {
  random_ = mix(random_);
  return (static_cast<double>(random_ >> 11) + 1) / 9007199254740992.0;
}

std::string ChatReply::finish_reason() const {
  if (behaviour_.finish_reason) return *behaviour_.finish_reason;
  if (out_of_tokens_) return "length";
  return behaviour_.tool_calls.empty() ? "stop" : "tool_calls";
}

std::string ChatReply::usage_json() const {
  const uint64_t completion = behaviour_.completion_tokens.value_or(token_count());
  return fmt::format(
      R"({{"prompt_tokens":{},"completion_tokens":{},"total_tokens":{},)"
      R"("prompt_tokens_details":{{"cached_tokens":0}},"completion_tokens_details":{{"reasoning_tokens":0}}}})",
      prompt_tokens_, completion, prompt_tokens_ + completion);
}

std::string ChatReply::error_json() const {
  return error_envelope(behaviour_.error_message.value_or("the simulated model failed"),
                        "server_error", "simulated_error");
}

}  // namespace parlance::benchmarks
