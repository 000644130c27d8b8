#pragma once
// The step stream (`/chat/{chat_id}`) as the load generator sees it: what it sends, and a cheap
// look into what it receives. Frames are not parsed as JSON; the few fields that matter are found
// by their keys, which JSON's escaping keeps from occurring inside of strings. Pure.

#include <cstdint>
#include <string>
#include <string_view>

namespace parlance::benchmarks {

/// The text of a string member, still escaped: what stands between `"key":"` and the next quote
/// that is not escaped. Empty when there is none.
std::string_view string_member(std::string_view payload, std::string_view key_colon_quote);

struct ChatFrame {
  enum class Kind { ack, step, delta, snapshot, reset, end, error, pong, other };

  Kind kind = Kind::other;
  std::string_view message_id;  // empty where the frame has none
  std::string_view text;        // of a delta, still escaped; of an error, its sentence
};

/// Views into `payload`.
ChatFrame parse_chat_frame(std::string_view payload);

/// Calls `visit(stamp_ns)` for every "<digits>|" in a delta: the stamps of parlance-upstream
/// --stamp.
template <class Visit>
void for_each_stamp(std::string_view text, Visit visit) {
  for (size_t bar = text.find('|'); bar != std::string_view::npos; bar = text.find('|', bar + 1)) {
    int64_t stamp_ns = 0;
    int64_t digit_value = 1;
    size_t begin = bar;
    while (begin > 0 && text[begin - 1] >= '0' && text[begin - 1] <= '9' && bar - begin < 18) {
      --begin;
      stamp_ns += (text[begin] - '0') * digit_value;
      digit_value *= 10;
    }
    if (begin < bar) visit(stamp_ns);
  }
}

/// {"type":"client",...}. `text` must need no escaping. `on_busy` is left out when empty.
std::string client_frame(std::string_view message_id, std::string_view text,
                         std::string_view on_busy = {});

/// {"type":"ping","data":...} of exactly `bytes` bytes, or as few as are possible.
std::string ping_frame(size_t bytes);

/// A message text of `bytes` bytes that begins with `beginning`: words, as people write.
std::string message_text(std::string_view beginning, size_t bytes);

}  // namespace parlance::benchmarks
