#include "benchmarks/load/chat_frames.h"

#include <array>
#include <utility>

#include <fmt/format.h>

namespace parlance::benchmarks {
namespace {

using Kind = ChatFrame::Kind;

Kind kind_of(std::string_view type) {
  constexpr std::array<std::pair<std::string_view, Kind>, 8> kKinds{{
      {"agent_delta", Kind::delta},
      {"client_message", Kind::ack},
      {"agent_step", Kind::step},
      {"message_end", Kind::end},
      {"pong", Kind::pong},
      {"agent_error", Kind::error},
      {"agent_snapshot", Kind::snapshot},
      {"agent_reset", Kind::reset},
  }};
  for (const auto& [name, kind] : kKinds) {
    if (type == name) return kind;
  }
  return Kind::other;
}

}  // namespace

std::string_view string_member(std::string_view payload, std::string_view key_colon_quote) {
  const size_t place = payload.find(key_colon_quote);
  if (place == std::string_view::npos) return {};
  const std::string_view rest = payload.substr(place + key_colon_quote.size());
  for (size_t end = rest.find('"'); end != std::string_view::npos; end = rest.find('"', end + 1)) {
    size_t backslashes = 0;
    while (backslashes < end && rest[end - 1 - backslashes] == '\\') ++backslashes;
    if (backslashes % 2 == 0) return rest.substr(0, end);
  }
  return {};
}

ChatFrame parse_chat_frame(std::string_view payload) {
  ChatFrame frame;
  frame.kind = kind_of(string_member(payload, R"("type":")"));
  if (frame.kind == Kind::pong || frame.kind == Kind::other) return frame;
  frame.message_id = string_member(payload, R"("message_id":")");
  if (frame.kind == Kind::delta) frame.text = string_member(payload, R"("delta":")");
  if (frame.kind == Kind::error) frame.text = string_member(payload, R"("error":")");
  return frame;
}

std::string client_frame(std::string_view message_id, std::string_view text,
                         std::string_view on_busy) {
  std::string frame =
      fmt::format(R"({{"type":"client","message":"{}","message_id":"{}")", text, message_id);
  if (!on_busy.empty()) frame += fmt::format(R"(,"on_busy":"{}")", on_busy);
  return frame + "}";
}

std::string ping_frame(size_t bytes) {
  const std::string_view begin = R"({"type":"ping","data":")";
  const std::string_view end = R"("})";
  const size_t framing = begin.size() + end.size();
  const size_t padding = bytes > framing ? bytes - framing : 0;
  return std::string(begin) + std::string(padding, 'x') + std::string(end);
}

std::string message_text(std::string_view beginning, size_t bytes) {
  constexpr std::string_view kWords =
      " and the answer of the session is written before it is shown";
  std::string text(beginning);
  while (text.size() < bytes) text += kWords.substr(0, bytes - text.size());
  return text;
}

}  // namespace parlance::benchmarks
