// Which endpoint answers a method and a path. Pure; knows nothing of sessions.
#pragma once

#include <string>
#include <string_view>
#include <variant>

#include "net/request_target.h"

namespace parlance::net {

enum class Endpoint : unsigned char {
  about,            ///< GET /
  chat_page,        ///< GET / of a browser
  console_page,     ///< GET /console
  asset,            ///< GET /assets/{file}, what the pages need
  health,           ///< GET /healthz
  readiness,        ///< GET /readyz
  metrics,          ///< GET /metrics
  history,          ///< GET /history/{chat_id}
  agent_run,        ///< POST /agent/run
  chat_socket,      ///< GET /chat/{chat_id}, a WebSocket
  chat_events,      ///< GET /chat/{chat_id}/events, server-sent events
  chat_messages,    ///< POST /chat/{chat_id}/messages
  chat_cancel,      ///< POST /chat/{chat_id}/cancel
  chat_delete,      ///< DELETE /chat/{chat_id}
  kiss_auth,        ///< POST /auth
  kiss_sessions,    ///< POST /sessions?action=
  kiss_delete,      ///< DELETE /sessions
  kiss_queries,     ///< POST /queries
  kiss_documents,   ///< POST /documents
  kiss_passage,     ///< GET /passages/{id}
  kiss_socket,      ///< GET /ws, a WebSocket
  console_state,    ///< GET /console/api/state
  console_events,   ///< GET /console/api/events, server-sent events
  console_history,  ///< GET /console/api/history
  console_log,      ///< GET /console/api/sessions/{id}/log
  console_stop,     ///< POST /console/api/sessions/{id}/stop
  openapi,          ///< GET /api/v1/openapi.json
  asyncapi,         ///< GET /api/v1/asyncapi.json
  docs,             ///< GET /api/v1/docs, Swagger UI
  redoc,            ///< GET /api/v1/redoc
  docs_file,        ///< GET /api/v1/docs/{file}, what the two pages need

  agent_create,    ///< POST /api/v1/agent
  agent_list,      ///< GET /api/v1/agent
  agent_read,      ///< GET /api/v1/agent/{id}
  agent_update,    ///< PUT /api/v1/agent/{id}
  agent_delete,    ///< DELETE /api/v1/agent/{id}
  session_create,  ///< POST /api/v1/session
  session_list,    ///< GET /api/v1/session
  session_read,    ///< GET /api/v1/session/{id}
  session_update,  ///< PUT /api/v1/session/{id}
  session_delete,  ///< DELETE /api/v1/session/{id}
  message_text,    ///< POST /api/v1/message/text
  message_voice,   ///< POST /api/v1/message/voice
  message_audio,   ///< GET /api/v1/message/{id}/audio
  message_retry,   ///< POST /api/v1/message/{id}/retry
  conversation,    ///< GET /api/v1/message/conversion/{session_id}
};

inline bool is_websocket(Endpoint endpoint) noexcept {
  return endpoint == Endpoint::chat_socket || endpoint == Endpoint::kiss_socket;
}

struct Route {
  Endpoint endpoint = Endpoint::about;
  /// The path's one variable part, decoded, not validated; empty where the path has none.
  std::string name = {};
};
struct PathUnknown {};
struct MethodNotAllowed {
  std::string allow;  ///< For the Allow header.
};

/// HEAD is routed like GET, except for sockets.
std::variant<Route, PathUnknown, MethodNotAllowed> find_route(std::string_view method,
                                                              const RequestTarget& target);

}  // namespace parlance::net
