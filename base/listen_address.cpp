#include "base/listen_address.h"

#include <charconv>
#include <optional>

#include <arpa/inet.h>
#include <netinet/in.h>

namespace parlance {
namespace {

/// Whether only this machine can reach the numeric address `host`; nothing when it is not one.
std::optional<bool> is_loopback(const std::string& host) {
  // The system's functions would stop reading there.
  if (host.find('\0') != std::string::npos) return std::nullopt;
  in_addr v4{};
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) return ntohl(v4.s_addr) >> 24 == 127;
  // "fe80::1%eth0" names the interface too.
  const std::size_t scope = host.find('%');
  if (scope != std::string::npos && scope + 1 == host.size()) return std::nullopt;
  in6_addr v6{};
  if (inet_pton(AF_INET6, host.substr(0, scope).c_str(), &v6) != 1) return std::nullopt;
  return IN6_IS_ADDR_LOOPBACK(&v6);
}

}  // namespace

Result<ListenAddress> parse_listen_address(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) {
    return Error{Errc::invalid_argument, "it is not of the form host:port, as 127.0.0.1:8080 is"};
  }
  std::string_view host = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);
  if (host == "localhost") host = "127.0.0.1";
  if (host.empty() || host == "*") host = "0.0.0.0";
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);

  ListenAddress out;
  const auto parsed = std::from_chars(port.data(), port.data() + port.size(), out.port);
  if (parsed.ec != std::errc{} || parsed.ptr != port.data() + port.size()) {
    return Error{Errc::invalid_argument, "the port must be a whole number from 0 to 65535"};
  }
  out.host = host;
  const std::optional<bool> loopback = is_loopback(out.host);
  if (!loopback) {
    return Error{Errc::invalid_argument,
                 "the host must be a numeric address (IPv6 in brackets), localhost, or * for all"};
  }
  out.loopback = *loopback;
  return out;
}

}  // namespace parlance
