#include "net/byte_range.h"

#include <algorithm>
#include <charconv>
#include <optional>

namespace parlance::net {
namespace {

constexpr std::string_view kUnit = "bytes=";

/// Nothing when it is no number. One that is too large for 64 bits is past the end of everything.
std::optional<std::uint64_t> parse_position(std::string_view text) {
  std::uint64_t value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ptr != text.data() + text.size()) return std::nullopt;
  if (parsed.ec == std::errc::result_out_of_range) return ~std::uint64_t{0};
  if (parsed.ec != std::errc{}) return std::nullopt;
  return value;
}

bool is_unit(std::string_view text) {
  return std::equal(text.begin(), text.end(), kUnit.begin(), kUnit.end(), [](char a, char b) {
    return (a >= 'A' && a <= 'Z' ? static_cast<char>(a | 0x20) : a) == b;
  });
}

}  // namespace

std::variant<WholeBody, ByteRange, NoSuchRange> parse_byte_range(std::string_view header,
                                                                 std::uint64_t bytes) {
  if (!is_unit(header.substr(0, kUnit.size()))) return WholeBody{};
  header.remove_prefix(kUnit.size());
  while (header.starts_with(' ')) header.remove_prefix(1);
  while (header.ends_with(' ')) header.remove_suffix(1);
  const std::size_t dash = header.find('-');
  if (dash == std::string_view::npos) return WholeBody{};
  const auto last = parse_position(header.substr(dash + 1));
  if (dash == 0) {
    if (!last) return WholeBody{};
    if (*last == 0 || bytes == 0) return NoSuchRange{};
    return ByteRange{bytes - std::min(*last, bytes), bytes - 1};
  }
  const auto first = parse_position(header.substr(0, dash));
  const bool open = dash + 1 == header.size();
  if (!first || (!open && !last) || (last && *last < *first)) return WholeBody{};
  if (*first >= bytes) return NoSuchRange{};
  return ByteRange{*first, open ? bytes - 1 : std::min(*last, bytes - 1)};
}

}  // namespace parlance::net
