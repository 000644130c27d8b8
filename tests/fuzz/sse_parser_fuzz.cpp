// The event stream parser: any bytes, and the same events however they are cut.
// Input: one byte for the limit, one that seeds the cuts, then the stream.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "llm/sse_parser.h"

namespace {

using parlance::llm::SseEvent;
using parlance::llm::SseParser;

struct Heard {
  std::vector<std::string> events;
  SseParser::Outcome outcome = SseParser::Outcome::more;
  bool operator==(const Heard&) const = default;
};

/// Feeds `bytes` in pieces of the lengths that `next_length` gives.
template <class NextLength>
Heard parse(std::string_view bytes, std::size_t bytes_max, NextLength&& next_length) {
  SseParser parser(bytes_max);
  Heard heard;
  while (!bytes.empty() && heard.outcome == SseParser::Outcome::more) {
    const std::string_view piece = bytes.substr(0, next_length(bytes.size()));
    bytes.remove_prefix(piece.size());
    // A copy that ends with the piece: reading behind it, or later, is then found.
    const std::unique_ptr<char[]> copy(new char[piece.size()]);
    piece.copy(copy.get(), piece.size());
    heard.outcome = parser.feed({copy.get(), piece.size()}, [&](const SseEvent& event) {
      heard.events.push_back(std::string(event.type) + '\x1f' + std::string(event.data) + '\x1f' +
                             std::string(event.id));
      CHECK(event.data.size() <= bytes_max);
      return event.data != "[DONE]";
    });
  }
  return heard;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::size_t bytes_max = data[0] == 0 ? 1 << 20 : data[0];
  std::uint32_t random = data[1] + 1;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 2, size - 2);

  const Heard whole = parse(bytes, bytes_max, [](std::size_t left) { return left; });
  CHECK(parse(bytes, bytes_max, [](std::size_t) { return std::size_t{1}; }) == whole);
  const auto some = [&](std::size_t) {
    random = random * 1664525 + 1013904223;
    return std::size_t{random >> 24} % 7 + 1;
  };
  CHECK(parse(bytes, bytes_max, some) == whole);
  return 0;
}
