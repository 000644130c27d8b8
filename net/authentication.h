// Who may come in: API keys, and the Host and Origin of browsers. Pure; constant after
// construction; any thread. Keys are compared in constant time and never logged.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "net/options.h"

namespace parlance::net {

/// The subprotocol by which a browser's socket carries its key.
inline constexpr std::string_view kBearerProtocol = "bearer.";

class Authentication {
 public:
  explicit Authentication(const Options& options);

  /// True when anybody may come in.
  bool open() const noexcept { return keys_.empty(); }

  /// Whether the values of `Authorization` and `Sec-WebSocket-Protocol` carry a known key.
  /// `protocols` must be empty for what is not a WebSocket handshake.
  bool admits(std::string_view authorization, std::string_view protocols) const;

  /// Whether there is a key for the console at all, and whether `authorization` carries it.
  bool has_console() const noexcept { return !console_key_.empty(); }
  bool admits_console(std::string_view authorization) const;

  /// Whether a request for `host` (the Host header) is meant for this server. Without keys only
  /// loopback and the hosts of the listed origins are: a page of another site whose name was
  /// pointed at 127.0.0.1 sends that name, and is of the same origin as far as its browser can
  /// tell (DNS rebinding). With keys, or open on purpose, every host is.
  bool admits_host(std::string_view host) const;

  /// Whether a page from `origin` may open sockets and change state at `host` (the Host header):
  /// host and port are the same, or the origin is listed. An empty origin is not a browser's and
  /// may.
  bool admits_origin(std::string_view origin, std::string_view host) const;

 private:
  bool known(std::string_view key) const;

  std::vector<std::string> keys_;
  std::string console_key_;
  std::vector<std::string> origins_;
  bool any_host_;
};

/// The token of "Bearer <token>", the value of an Authorization header; empty when it is none.
std::string_view bearer_token(std::string_view authorization);

/// The first "bearer.<key>" of a Sec-WebSocket-Protocol list; empty when there is none.
std::string_view bearer_protocol(std::string_view protocols);

/// Compares without stopping at the first difference.
bool equal_in_constant_time(std::string_view left, std::string_view right) noexcept;

}  // namespace parlance::net
