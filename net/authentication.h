// Who may come in: API keys and the Origin of browsers. Pure; constant after construction; any
// thread. Keys are compared in constant time and never logged.
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

  /// Whether a page from `origin` may open sockets and change state at `host` (the Host header):
  /// host and port are the same, or the origin is listed. An empty origin is not a browser's and
  /// may.
  bool admits_origin(std::string_view origin, std::string_view host) const;

 private:
  bool known(std::string_view key) const;

  std::vector<std::string> keys_;
  std::vector<std::string> origins_;
};

/// The first "bearer.<key>" of a Sec-WebSocket-Protocol list; empty when there is none.
std::string_view bearer_protocol(std::string_view protocols);

/// Compares without stopping at the first difference.
bool equal_in_constant_time(std::string_view left, std::string_view right) noexcept;

}  // namespace parlance::net
