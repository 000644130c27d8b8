#include "net/authentication.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "net/header_list.h"

namespace parlance::net {
namespace {

/// "host:port" or "[v6]:port"; the port is empty when there is none.
struct Authority {
  std::string_view host;
  std::string_view port;
};

std::optional<Authority> split_authority(std::string_view authority) {
  std::size_t end = std::min(authority.find(':'), authority.size());
  if (authority.starts_with('[')) {
    end = authority.find(']');
    if (end == std::string_view::npos) return std::nullopt;
    ++end;
  }
  Authority out{.host = authority.substr(0, end), .port = authority.substr(end)};
  if (out.host.empty()) return std::nullopt;
  if (out.port.empty()) return out;
  if (out.port.front() != ':') return std::nullopt;
  out.port.remove_prefix(1);
  if (out.port.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
  return out;
}

/// The port that the URL of a page leaves out; empty when pages do not come by that scheme.
std::string_view default_port(std::string_view origin) {
  const std::string_view scheme = origin.substr(0, origin.find("://"));
  if (equal_ignoring_case(scheme, "http")) return "80";
  if (equal_ignoring_case(scheme, "https")) return "443";
  return {};
}

/// The authority of "scheme://authority"; empty when it is anything else, such as "null".
std::string_view origin_authority(std::string_view origin) {
  const std::size_t mark = origin.find("://");
  if (mark == std::string_view::npos) return {};
  const std::string_view authority = origin.substr(mark + 3);
  return authority.find_first_of("/?#@ ") == std::string_view::npos ? authority
                                                                    : std::string_view();
}

/// True for 127.0.0.0/8 in the one form in which browsers write it, so that no name like
/// 127.0.0.1.example.org is taken for it.
bool is_loopback_v4(std::string_view host) {
  int octets = 0;
  for (bool more = true; more; ++octets) {
    const std::size_t dot = host.find('.');
    const std::string_view octet = host.substr(0, dot);
    more = dot != std::string_view::npos;
    host.remove_prefix(more ? dot + 1 : host.size());
    unsigned number = 0;
    const auto parsed = std::from_chars(octet.data(), octet.data() + octet.size(), number);
    if (octet.size() > 3 || parsed.ec != std::errc{} || parsed.ptr != octet.data() + octet.size() ||
        number > 255 || (octets == 0 && number != 127)) {
      return false;
    }
  }
  return octets == 4;
}

std::string_view trim(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

}  // namespace

Authentication::Authentication(const Options& options)
    : keys_(options.api_keys),
      console_key_(options.console_key),
      origins_(options.allowed_origins),
      any_host_(!options.api_keys.empty() || options.auth_none) {}

bool Authentication::admits(std::string_view authorization, std::string_view protocols) const {
  if (open()) return true;
  const std::string_view token = bearer_token(authorization);
  if (!token.empty() && known(token)) return true;
  const std::string_view protocol = bearer_protocol(protocols);
  return !protocol.empty() && known(protocol.substr(kBearerProtocol.size()));
}

bool Authentication::admits_console(std::string_view authorization) const {
  return has_console() && equal_in_constant_time(console_key_, bearer_token(authorization));
}

bool Authentication::admits_host(std::string_view host) const {
  if (any_host_) return true;
  const auto asked = split_authority(host);
  if (!asked) return false;
  if (equal_ignoring_case(asked->host, "localhost") || asked->host == "[::1]" ||
      is_loopback_v4(asked->host)) {
    return true;
  }
  // Whatever the port: a proxy on this machine passes the name on that its pages came by.
  return std::any_of(origins_.begin(), origins_.end(), [&](const std::string& origin) {
    const auto listed = split_authority(origin_authority(origin));
    return listed && equal_ignoring_case(listed->host, asked->host);
  });
}

bool Authentication::admits_origin(std::string_view origin, std::string_view host) const {
  if (origin.empty()) return true;
  const bool listed = std::any_of(origins_.begin(), origins_.end(), [&](const std::string& known) {
    return equal_ignoring_case(known, origin);
  });
  if (listed) return true;
  const auto page = split_authority(origin_authority(origin));
  const auto here = split_authority(host);
  const std::string_view unsaid = default_port(origin);
  if (!page || !here || unsaid.empty()) return false;
  // A port that is left out of the Host header is the one of the scheme by which the browser came,
  // also where a proxy in front ends TLS.
  const auto port = [&](const Authority& one) { return one.port.empty() ? unsaid : one.port; };
  return equal_ignoring_case(page->host, here->host) && port(*page) == port(*here);
}

bool Authentication::known(std::string_view key) const {
  bool found = false;
  for (const std::string& candidate : keys_) found |= equal_in_constant_time(candidate, key);
  return found;
}

std::string_view bearer_token(std::string_view authorization) {
  constexpr std::string_view kScheme = "Bearer ";
  if (authorization.size() <= kScheme.size() ||
      !equal_ignoring_case(authorization.substr(0, kScheme.size()), kScheme)) {
    return {};
  }
  return trim(authorization.substr(kScheme.size()));
}

std::string_view bearer_protocol(std::string_view protocols) {
  while (!protocols.empty()) {
    const std::string_view one = protocols.substr(0, protocols.find(','));
    protocols.remove_prefix(std::min(one.size() + 1, protocols.size()));
    const std::string_view protocol = trim(one);
    if (protocol.size() > kBearerProtocol.size() && protocol.starts_with(kBearerProtocol)) {
      return protocol;
    }
  }
  return {};
}

bool equal_in_constant_time(std::string_view left, std::string_view right) noexcept {
  // Volatile, so that no compiler turns it into an early exit. The length is no secret.
  if (left.size() != right.size()) return false;
  volatile unsigned char difference = 0;
  for (std::size_t i = 0; i < left.size(); ++i) {
    difference = static_cast<unsigned char>(difference | (left[i] ^ right[i]));
  }
  return difference == 0;
}

}  // namespace parlance::net
