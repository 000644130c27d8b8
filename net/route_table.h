// Which endpoint answers a method and a path. Pure; knows nothing of sessions.
#pragma once

#include <string>
#include <string_view>
#include <variant>

#include "net/request_target.h"

namespace parlance::net {

enum class Endpoint : unsigned char {
  about,          ///< GET /
  health,         ///< GET /healthz
  readiness,      ///< GET /readyz
  metrics,        ///< GET /metrics
  history,        ///< GET /history/{chat_id}
  agent_run,      ///< POST /agent/run
  chat_socket,    ///< GET /chat/{chat_id}, a WebSocket
  chat_events,    ///< GET /chat/{chat_id}/events, server-sent events
  chat_messages,  ///< POST /chat/{chat_id}/messages
  chat_cancel,    ///< POST /chat/{chat_id}/cancel
};

struct Route {
  Endpoint endpoint = Endpoint::about;
  std::string chat_id = {};  ///< Decoded, not validated; empty where the path has none.
};
struct PathUnknown {};
struct MethodNotAllowed {
  std::string_view allow;  ///< For the Allow header.
};

/// HEAD is routed like GET, except for sockets.
std::variant<Route, PathUnknown, MethodNotAllowed> find_route(std::string_view method,
                                                              const RequestTarget& target);

}  // namespace parlance::net
