#include "net/route_table.h"

#include <algorithm>
#include <utility>

namespace parlance::net {
namespace {

struct Pattern {
  std::string_view method;
  std::string_view path;  ///< "*" takes any segment.
  Endpoint endpoint;
};

/// One row for each method of a path.
constexpr Pattern kPatterns[] = {
    {"GET", "/", Endpoint::about},
    {"GET", "/console", Endpoint::console_page},
    {"GET", "/console/", Endpoint::console_page},
    {"GET", "/console/api/state", Endpoint::console_state},
    {"GET", "/console/api/events", Endpoint::console_events},
    {"GET", "/console/api/history", Endpoint::console_history},
    {"GET", "/console/api/sessions/*/log", Endpoint::console_log},
    {"POST", "/console/api/sessions/*/stop", Endpoint::console_stop},
    {"GET", "/assets/*", Endpoint::asset},
    {"GET", "/healthz", Endpoint::health},
    {"GET", "/readyz", Endpoint::readiness},
    {"GET", "/metrics", Endpoint::metrics},
    {"GET", "/history/*", Endpoint::history},
    {"POST", "/agent/run", Endpoint::agent_run},
    {"GET", "/chat/*", Endpoint::chat_socket},
    {"GET", "/chat/*/events", Endpoint::chat_events},
    {"POST", "/chat/*/messages", Endpoint::chat_messages},
    {"POST", "/chat/*/cancel", Endpoint::chat_cancel},
    {"DELETE", "/chat/*", Endpoint::chat_delete},
    {"POST", "/auth", Endpoint::kiss_auth},
    {"POST", "/sessions", Endpoint::kiss_sessions},
    {"DELETE", "/sessions", Endpoint::kiss_delete},
    {"POST", "/queries", Endpoint::kiss_queries},
    {"POST", "/documents", Endpoint::kiss_documents},
    {"GET", "/passages/*", Endpoint::kiss_passage},
    {"GET", "/ws", Endpoint::kiss_socket},
    {"GET", "/api/v1/agent", Endpoint::agent_list},
    {"POST", "/api/v1/agent", Endpoint::agent_create},
    {"GET", "/api/v1/agent/*", Endpoint::agent_read},
    {"PUT", "/api/v1/agent/*", Endpoint::agent_update},
    {"DELETE", "/api/v1/agent/*", Endpoint::agent_delete},
    {"GET", "/api/v1/session", Endpoint::session_list},
    {"POST", "/api/v1/session", Endpoint::session_create},
    {"GET", "/api/v1/session/*", Endpoint::session_read},
    {"PUT", "/api/v1/session/*", Endpoint::session_update},
    {"DELETE", "/api/v1/session/*", Endpoint::session_delete},
    {"POST", "/api/v1/message/text", Endpoint::message_text},
    {"POST", "/api/v1/message/voice", Endpoint::message_voice},
    {"GET", "/api/v1/message/conversion/*", Endpoint::conversation},
    {"GET", "/api/v1/message/*/audio", Endpoint::message_audio},
    {"POST", "/api/v1/message/*/retry", Endpoint::message_retry},
    {"GET", "/api/v1/openapi.json", Endpoint::openapi},
    {"GET", "/api/v1/asyncapi.json", Endpoint::asyncapi},
    {"GET", "/api/v1/docs", Endpoint::docs},
    {"GET", "/api/v1/docs/*", Endpoint::docs_file},
    {"GET", "/api/v1/redoc", Endpoint::redoc},
};

/// Whether `path` is that of `target`; `name` is then what stands for its "*". After a slash at the
/// end there is one more segment, which is empty; "/" has none.
bool matches(std::string_view path, const RequestTarget& target, std::string& name) {
  if (path == "/") return target.segments.empty();
  for (const std::string& segment : target.segments) {
    if (path.empty()) return false;
    path.remove_prefix(1);
    const std::string_view expected = path.substr(0, path.find('/'));
    if (expected == "*") {
      name = segment;
    } else if (expected != segment) {
      return false;
    }
    path.remove_prefix(expected.size());
  }
  return path.empty();
}

}  // namespace

std::variant<Route, PathUnknown, MethodNotAllowed> find_route(std::string_view method,
                                                              const RequestTarget& target) {
  std::string allow;
  for (const Pattern& pattern : kPatterns) {
    Route route{.endpoint = pattern.endpoint};
    if (!matches(pattern.path, target, route.name)) continue;
    const bool has_head = pattern.method == "GET" && !is_websocket(pattern.endpoint);
    if (method == pattern.method || (method == "HEAD" && has_head)) return route;
    if (!allow.empty()) allow += ", ";
    allow += pattern.method;
    if (has_head) allow += ", HEAD";
  }
  if (allow.empty()) return PathUnknown{};
  return MethodNotAllowed{std::move(allow)};
}

}  // namespace parlance::net
