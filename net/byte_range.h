// The Range header (RFC 9110, 14.2), as far as it is served: one range of bytes. Pure.
#pragma once

#include <cstdint>
#include <string_view>
#include <variant>

namespace parlance::net {

struct ByteRange {
  std::uint64_t first = 0;
  std::uint64_t last = 0;  ///< Included.
  friend bool operator==(const ByteRange&, const ByteRange&) = default;
};
/// No range, or none that is understood, or several: the whole is the answer.
struct WholeBody {};
/// Nothing of it is there: 416.
struct NoSuchRange {};

/// What of `bytes` in all `header` asks for; it may be empty.
std::variant<WholeBody, ByteRange, NoSuchRange> parse_byte_range(std::string_view header,
                                                                 std::uint64_t bytes);

}  // namespace parlance::net
