// The opening handshake of RFC 6455, server side. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "dialects/problem.h"

namespace parlance::net {

/// The headers of a request that matter to the handshake; empty where absent.
struct HandshakeHeaders {
  std::string_view upgrade, connection, key, version;
};

/// What is wrong with the handshake: 426 when it is none or of another version, else 400.
std::optional<dialects::Problem> problem_with_handshake(const HandshakeHeaders& headers);

/// Sec-WebSocket-Accept for a Sec-WebSocket-Key.
std::string accept_value(std::string_view key);

/// True when the comma-separated `list` has `token`, whatever the case.
bool has_token(std::string_view list, std::string_view token) noexcept;

}  // namespace parlance::net
