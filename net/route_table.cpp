#include "net/route_table.h"

#include <array>

namespace parlance::net {
namespace {

struct Pattern {
  std::array<std::string_view, 4> segments;  ///< "*" takes any; unused ones are empty.
  std::size_t size;
  std::string_view method;
  std::string_view allow;
  Endpoint endpoint;
};

constexpr Pattern kPatterns[] = {
    {{}, 0, "GET", "GET, HEAD", Endpoint::about},
    {{"healthz"}, 1, "GET", "GET, HEAD", Endpoint::health},
    {{"readyz"}, 1, "GET", "GET, HEAD", Endpoint::readiness},
    {{"metrics"}, 1, "GET", "GET, HEAD", Endpoint::metrics},
    {{"history", "*"}, 2, "GET", "GET, HEAD", Endpoint::history},
    {{"agent", "run"}, 2, "POST", "POST", Endpoint::agent_run},
    {{"chat", "*"}, 2, "GET", "GET", Endpoint::chat_socket},
    {{"chat", "*", "events"}, 3, "GET", "GET, HEAD", Endpoint::chat_events},
    {{"chat", "*", "messages"}, 3, "POST", "POST", Endpoint::chat_messages},
    {{"chat", "*", "cancel"}, 3, "POST", "POST", Endpoint::chat_cancel},
    {{"auth"}, 1, "POST", "POST", Endpoint::kiss_auth},
    {{"sessions"}, 1, "POST", "POST", Endpoint::kiss_sessions},
    {{"queries"}, 1, "POST", "POST", Endpoint::kiss_queries},
    {{"documents"}, 1, "POST", "POST", Endpoint::kiss_documents},
    {{"passages", "*"}, 2, "GET", "GET, HEAD", Endpoint::kiss_passage},
    {{"ws"}, 1, "GET", "GET", Endpoint::kiss_socket},
    {{"api", "v1", "openapi.json"}, 3, "GET", "GET, HEAD", Endpoint::openapi},
    {{"api", "v1", "asyncapi.json"}, 3, "GET", "GET, HEAD", Endpoint::asyncapi},
    {{"api", "v1", "docs"}, 3, "GET", "GET, HEAD", Endpoint::docs},
    {{"api", "v1", "redoc"}, 3, "GET", "GET, HEAD", Endpoint::redoc},
    {{"api", "v1", "docs", "*"}, 4, "GET", "GET, HEAD", Endpoint::docs_file},
};

bool matches(const Pattern& pattern, const RequestTarget& target) {
  if (pattern.size != target.segments.size()) return false;
  for (std::size_t i = 0; i < pattern.size; ++i) {
    if (pattern.segments[i] != "*" && pattern.segments[i] != target.segments[i]) return false;
  }
  return true;
}

}  // namespace

std::variant<Route, PathUnknown, MethodNotAllowed> find_route(std::string_view method,
                                                              const RequestTarget& target) {
  for (const Pattern& pattern : kPatterns) {
    if (!matches(pattern, target)) continue;
    const bool head = method == "HEAD" && pattern.allow.find("HEAD") != std::string_view::npos;
    if (method != pattern.method && !head) return MethodNotAllowed{pattern.allow};
    Route route{.endpoint = pattern.endpoint};
    for (std::size_t i = 0; i < pattern.size; ++i) {
      if (pattern.segments[i] == "*") route.name = target.segments[i];
    }
    return route;
  }
  return PathUnknown{};
}

}  // namespace parlance::net
