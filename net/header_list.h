// Headers whose value is a list with commas between the items, and names whose case does not
// matter. Pure.
#pragma once

#include <algorithm>
#include <string_view>

namespace parlance::net {

inline std::string_view trimmed(std::string_view text) {
  while (text.starts_with(' ') || text.starts_with('\t')) text.remove_prefix(1);
  while (text.ends_with(' ') || text.ends_with('\t')) text.remove_suffix(1);
  return text;
}

inline bool equal_ignoring_case(std::string_view left, std::string_view right) {
  const auto lower = [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  };
  return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                    [&](char a, char b) { return lower(a) == lower(b); });
}

/// Takes what is before the first `separator` off `text`, and the separator.
inline std::string_view take_until(std::string_view& text, char separator) {
  const std::string_view part = text.substr(0, text.find(separator));
  text.remove_prefix(std::min(part.size() + 1, text.size()));
  return trimmed(part);
}

/// Whether an item of an Accept or Accept-Encoding is `name`, and its weight is not zero (RFC 9110,
/// 12.4.2: `gzip;q=0` is what the client does not want).
inline bool wants(std::string_view item, std::string_view name) {
  if (!equal_ignoring_case(take_until(item, ';'), name)) return false;
  while (!item.empty()) {
    std::string_view weight = take_until(item, ';');
    if (!equal_ignoring_case(take_until(weight, '='), "q")) continue;
    weight = trimmed(weight);
    return !weight.starts_with('0') || weight.find_first_of("123456789") < weight.size();
  }
  return true;
}

/// True when `matches` says so of one item.
template <class Matches>
bool any_item(std::string_view list, Matches matches) {
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    if (matches(trimmed(list.substr(0, comma)))) return true;
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return false;
}

/// Whether an If-None-Match names `etag`.
inline bool names_etag(std::string_view if_none_match, std::string_view etag) {
  return any_item(if_none_match, [&](std::string_view item) {
    if (item.starts_with("W/")) item.remove_prefix(2);
    return item == "*" || item == etag;
  });
}

}  // namespace parlance::net
