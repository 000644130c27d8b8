// An address to listen on as people write it, "host:port". Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace parlance {

struct ListenAddress {
  std::string host;        ///< Numeric, without the brackets of IPv6.
  std::uint16_t port = 0;  ///< 0 takes a free one.
  bool loopback = false;   ///< Only this machine can reach it.
};

/// Reads "host:port": the host is a numeric address (IPv6 as "[::1]"), "localhost", or "*" or
/// nothing for every IPv4 address. Errors: invalid_argument, with what is wrong and what is
/// allowed.
Result<ListenAddress> parse_listen_address(std::string_view text);

}  // namespace parlance
