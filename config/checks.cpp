#include "config/checks.h"

#include <algorithm>
#include <charconv>

namespace parlance::config {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_letter(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/// Whether `text` is not empty and holds nothing but letters, digits and `others`.
bool consists_of(std::string_view text, std::string_view others) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    return is_letter(c) || is_digit(c) || others.find(c) != std::string_view::npos;
  });
}

/// Where the host of "host", "host:port" or "[v6]:port" ends; 0 when it is none.
std::size_t host_end(std::string_view authority) {
  if (!authority.starts_with('[')) {
    const std::size_t end = std::min(authority.find(':'), authority.size());
    return consists_of(authority.substr(0, end), "-._") ? end : 0;
  }
  const std::size_t close = authority.find(']');
  if (close == std::string_view::npos) return 0;
  return consists_of(authority.substr(1, close - 1), ":.") ? close + 1 : 0;
}

/// Whether a browser writes `port` out after a host.
bool is_written_port(std::string_view scheme, std::string_view port) {
  unsigned number = 0;
  const auto parsed = std::from_chars(port.data(), port.data() + port.size(), number);
  return parsed.ec == std::errc{} && parsed.ptr == port.data() + port.size() &&
         port.front() != '0' && number <= 65535 && !(scheme == "http" && number == 80) &&
         !(scheme == "https" && number == 443);
}

}  // namespace

std::string_view problem_with_client_key(std::string_view key) {
  if (key.empty()) return "is empty; leave it out";
  const bool sendable = std::all_of(key.begin(), key.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte > ' ' && byte != 0x7f;
  });
  return sendable ? "" : "holds a blank or a control character, which a key may not";
}

bool possible_origin(std::string_view text) {
  if (text == "null" || text == "file://") return true;
  const std::size_t mark = text.find("://");
  if (mark == std::string_view::npos) return false;
  const std::string_view scheme = text.substr(0, mark);
  // A page that opens a WebSocket has the scheme it was loaded by.
  if (!consists_of(scheme, "+-.") || !is_letter(scheme.front()) || scheme == "ws" ||
      scheme == "wss") {
    return false;
  }
  const std::string_view authority = text.substr(mark + 3);
  const std::size_t end = host_end(authority);
  if (end == 0) return false;
  return end == authority.size() ||
         (authority[end] == ':' && is_written_port(scheme, authority.substr(end + 1)));
}

bool possible_host(std::string_view text) {
  if (text.starts_with('[')) return !text.empty() && host_end(text) == text.size();
  const bool v6 = text.find(':') != text.rfind(':');
  return consists_of(text, v6 ? ":." : "-._");
}

}  // namespace parlance::config
