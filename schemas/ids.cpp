#include "schemas/ids.h"

#include <algorithm>
#include <charconv>

namespace parlance {

bool valid_session_id(std::string_view text) noexcept {
  if (text.empty() || text.size() > kSessionIdBytesMax) return false;
  // Clients of HTTP take these out of a path before they send it.
  if (text == "." || text == "..") return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '~' || c == '-';
  });
}

std::string to_string(const Cursor& cursor) {
  return std::to_string(cursor.epoch) + '-' + std::to_string(cursor.seq);
}

std::optional<Cursor> parse_cursor(std::string_view text) {
  Cursor out;
  const char* const end = text.data() + text.size();
  const auto epoch = std::from_chars(text.data(), end, out.epoch);
  if (epoch.ec != std::errc{} || epoch.ptr == end || *epoch.ptr != '-') return std::nullopt;
  const auto seq = std::from_chars(epoch.ptr + 1, end, out.seq);
  if (seq.ec != std::errc{} || seq.ptr != end) return std::nullopt;
  return out;
}

}  // namespace parlance
