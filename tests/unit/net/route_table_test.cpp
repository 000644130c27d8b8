#include "net/route_table.h"

#include <catch2/catch.hpp>

using namespace parlance::net;

namespace {

std::variant<Route, PathUnknown, MethodNotAllowed> route(std::string_view method,
                                                         std::string_view target) {
  return find_route(method, *parse_target(target));
}

Route found(std::string_view method, std::string_view target) {
  const auto result = route(method, target);
  INFO(method << ' ' << target);
  REQUIRE(std::holds_alternative<Route>(result));
  return std::get<Route>(result);
}

}  // namespace

TEST_CASE("every route is found") {
  CHECK(found("GET", "/").endpoint == Endpoint::about);
  CHECK(found("GET", "/healthz").endpoint == Endpoint::health);
  CHECK(found("HEAD", "/readyz").endpoint == Endpoint::readiness);
  CHECK(found("GET", "/metrics?x=1").endpoint == Endpoint::metrics);
  CHECK(found("GET", "/history/a").endpoint == Endpoint::history);
  CHECK(found("POST", "/agent/run").endpoint == Endpoint::agent_run);
  CHECK(found("GET", "/chat/a?tokens=1").endpoint == Endpoint::chat_socket);
  CHECK(found("GET", "/chat/a/events").endpoint == Endpoint::chat_events);
  CHECK(found("POST", "/chat/a/messages").endpoint == Endpoint::chat_messages);
  CHECK(found("POST", "/chat/a/cancel").endpoint == Endpoint::chat_cancel);
  CHECK(found("DELETE", "/chat/a").endpoint == Endpoint::chat_delete);
  CHECK(found("DELETE", "/sessions").endpoint == Endpoint::kiss_delete);
  CHECK(found("POST", "/auth").endpoint == Endpoint::kiss_auth);
  CHECK(found("POST", "/sessions?action=init").endpoint == Endpoint::kiss_sessions);
  CHECK(found("POST", "/queries").endpoint == Endpoint::kiss_queries);
  CHECK(found("POST", "/documents").endpoint == Endpoint::kiss_documents);
  CHECK(found("HEAD", "/passages/1-17").endpoint == Endpoint::kiss_passage);
  CHECK(found("GET", "/passages/1-17").name == "1-17");
  CHECK(found("GET", "/ws").endpoint == Endpoint::kiss_socket);
  CHECK(found("GET", "/api/v1/openapi.json").endpoint == Endpoint::openapi);
  CHECK(found("GET", "/api/v1/asyncapi.json").endpoint == Endpoint::asyncapi);
  CHECK(found("GET", "/api/v1/docs").endpoint == Endpoint::docs);
  CHECK(found("HEAD", "/api/v1/redoc").endpoint == Endpoint::redoc);
  CHECK(found("GET", "/api/v1/docs/docs.js").endpoint == Endpoint::docs_file);
  CHECK(found("GET", "/api/v1/docs/docs.js").name == "docs.js");
}

TEST_CASE("every route of the pages and of the console is found") {
  CHECK(found("GET", "/console").endpoint == Endpoint::console_page);
  CHECK(found("GET", "/console/").endpoint == Endpoint::console_page);
  CHECK(found("GET", "/assets/index-1.js").endpoint == Endpoint::asset);
  CHECK(found("GET", "/assets/index-1.js").name == "index-1.js");
  CHECK(found("GET", "/console/api/state").endpoint == Endpoint::console_state);
  CHECK(found("GET", "/console/api/events").endpoint == Endpoint::console_events);
  CHECK(found("GET", "/console/api/history").endpoint == Endpoint::console_history);
  CHECK(found("GET", "/console/api/sessions/a/log?limit=3").endpoint == Endpoint::console_log);
  CHECK(found("POST", "/console/api/sessions/a/stop").endpoint == Endpoint::console_stop);
  CHECK(found("POST", "/console/api/sessions/a/stop").name == "a");
}

TEST_CASE("every route of the platform is found") {
  CHECK(found("POST", "/api/v1/agent").endpoint == Endpoint::agent_create);
  CHECK(found("GET", "/api/v1/agent?limit=3").endpoint == Endpoint::agent_list);
  CHECK(found("GET", "/api/v1/agent/a").endpoint == Endpoint::agent_read);
  CHECK(found("PUT", "/api/v1/agent/a").endpoint == Endpoint::agent_update);
  CHECK(found("DELETE", "/api/v1/agent/a").endpoint == Endpoint::agent_delete);
  CHECK(found("POST", "/api/v1/session").endpoint == Endpoint::session_create);
  CHECK(found("HEAD", "/api/v1/session").endpoint == Endpoint::session_list);
  CHECK(found("HEAD", "/api/v1/session/s").endpoint == Endpoint::session_read);
  CHECK(found("PUT", "/api/v1/session/s").endpoint == Endpoint::session_update);
  CHECK(found("DELETE", "/api/v1/session/s").endpoint == Endpoint::session_delete);
  CHECK(found("POST", "/api/v1/message/text").endpoint == Endpoint::message_text);
  CHECK(found("POST", "/api/v1/message/voice").endpoint == Endpoint::message_voice);
  CHECK(found("HEAD", "/api/v1/message/m/audio").endpoint == Endpoint::message_audio);
  CHECK(found("GET", "/api/v1/message/m/audio").name == "m");
  CHECK(found("POST", "/api/v1/message/m/retry").endpoint == Endpoint::message_retry);
  CHECK(found("POST", "/api/v1/message/m/retry").name == "m");
  CHECK(found("GET", "/api/v1/message/conversion/s").endpoint == Endpoint::conversation);
  CHECK(found("GET", "/api/v1/message/conversion/s").name == "s");
}

TEST_CASE("all methods of a path are told to one who uses another") {
  const auto allowed = [](std::string_view path) {
    return std::get<MethodNotAllowed>(route("PATCH", path)).allow;
  };
  CHECK(allowed("/api/v1/agent") == "GET, HEAD, POST");
  CHECK(allowed("/api/v1/session/s") == "GET, HEAD, PUT, DELETE");
  CHECK(allowed("/api/v1/message/text") == "POST");
}

TEST_CASE("the chat id is decoded") {
  CHECK(found("GET", "/chat/a%2Db~%41").name == "a-b~A");
  CHECK(found("GET", "/chat/a%2Fb").name == "a/b");
  CHECK(found("GET", "/chat/").name.empty());
}

TEST_CASE("an unknown path is told from a wrong method") {
  for (const auto* path : {"/nope", "/chat", "/chat/a/b", "/chat/a/events/", "//", "/healthz/",
                           "/history", "/agent", "/agent/run/x"}) {
    INFO(path);
    CHECK(std::holds_alternative<PathUnknown>(route("GET", path)));
  }
  const auto refused = route("DELETE", "/chat/a/messages");
  REQUIRE(std::holds_alternative<MethodNotAllowed>(refused));
  CHECK(std::get<MethodNotAllowed>(refused).allow == "POST");
  CHECK(std::get<MethodNotAllowed>(route("POST", "/healthz")).allow == "GET, HEAD");
  CHECK(std::get<MethodNotAllowed>(route("HEAD", "/chat/a")).allow == "GET, DELETE");
  CHECK(std::holds_alternative<MethodNotAllowed>(route("get", "/healthz")));
}

TEST_CASE("a target is split and percent-decoded") {
  const auto target = *parse_target("/a%20b/%d8%b9?x=1+2&y=%26&x=3&flag&=v");
  CHECK(target.segments == std::vector<std::string>{"a b", "\xd8\xb9"});
  CHECK(target.parameter("x") == "1 2");
  CHECK(target.parameter("y") == "&");
  CHECK(target.parameter("flag") == "");
  CHECK(!target.parameter("z"));
}

TEST_CASE("an absolute target names the same path") {
  CHECK(parse_target("http://host:1/chat/a?b=c")->segments ==
        std::vector<std::string>{"chat", "a"});
  CHECK(parse_target("http://host")->segments.empty());
  CHECK(parse_target("ws://host?x=1")->segments.empty());
}

TEST_CASE("a broken target is refused") {
  for (const auto* target : {"", "*", "chat", "/%", "/%4", "/%zz", "/%00", "/%0a", "/%ff", "/?a=%",
                             "/?%c3=1", "ftp://x/y", "host:443"}) {
    INFO(target);
    CHECK(!parse_target(target));
  }
}
