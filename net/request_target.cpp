#include "net/request_target.h"

#include <algorithm>

#include "base/json.h"

namespace parlance::net {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// Nothing when an escape is broken or the result is not clean text.
std::optional<std::string> decode(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%') {
      if (i + 2 >= text.size()) return std::nullopt;
      const int high = hex_digit(text[i + 1]);
      const int low = hex_digit(text[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      out += static_cast<char>(high << 4 | low);
      i += 2;
    } else {
      out += plus_is_space && text[i] == '+' ? ' ' : text[i];
    }
  }
  const bool controls = std::any_of(out.begin(), out.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
  });
  if (controls || !json::valid_utf8(out)) return std::nullopt;
  return out;
}

Error broken() {
  return {Errc::invalid_argument, "the request target is not a valid path"};
}

}  // namespace

std::optional<std::string_view> RequestTarget::parameter(std::string_view name) const {
  for (const auto& [key, value] : query) {
    if (key == name) return value;
  }
  return std::nullopt;
}

Result<RequestTarget> parse_target(std::string_view target) {
  for (const std::string_view scheme : {"http://", "https://", "ws://", "wss://"}) {
    if (!target.starts_with(scheme)) continue;
    const std::size_t path = target.find_first_of("/?", scheme.size());
    target = path == std::string_view::npos || target[path] == '?' ? "/" : target.substr(path);
    break;
  }
  if (!target.starts_with('/')) return broken();

  RequestTarget out;
  target = target.substr(0, target.find('#'));
  const std::size_t question = std::min(target.find('?'), target.size());
  const std::string_view path = target.substr(1, question - 1);
  std::string_view query = target.substr(std::min(question + 1, target.size()));
  for (std::size_t at = 0; !path.empty() && at <= path.size();) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    std::optional<std::string> segment = decode(path.substr(at, end - at), false);
    if (!segment) return broken();
    out.segments.push_back(std::move(*segment));
    at = end + 1;
  }
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(pair.size() + 1, query.size()));
    const std::size_t equals = std::min(pair.find('='), pair.size());
    std::optional<std::string> key = decode(pair.substr(0, equals), true);
    std::optional<std::string> value = decode(pair.substr(std::min(equals + 1, pair.size())), true);
    if (!key || !value) return broken();
    out.query.emplace_back(std::move(*key), std::move(*value));
  }
  return out;
}

}  // namespace parlance::net
