#include "net/http_message.h"

#include <catch2/catch.hpp>

using namespace parlance::net;
using parlance::dialects::Problem;

TEST_CASE("an answer carries its length, its id and what becomes of the connection") {
  const HttpResponse response{.status = 202, .body = "{}", .headers = {{"Link", "<x>"}}};
  const std::string wire = to_wire(response, "r1", true, false);
  CHECK(wire.starts_with("HTTP/1.1 202 Accepted\r\n"));
  for (const auto* line : {"\r\nX-Request-Id: r1\r\n", "\r\nContent-Length: 2\r\n",
                           "\r\nContent-Type: application/json\r\n", "\r\nLink: <x>\r\n",
                           "\r\nConnection: keep-alive\r\n", " GMT\r\n"}) {
    INFO(line);
    CHECK(wire.find(line) != std::string::npos);
  }
  CHECK(wire.ends_with("\r\n\r\n{}"));
}

TEST_CASE("an answer to HEAD tells the length of the body it leaves out") {
  const std::string wire = to_wire({.body = "12345"}, "r1", false, true);
  CHECK(wire.find("\r\nContent-Length: 5\r\n") != std::string::npos);
  CHECK(wire.find("\r\nConnection: close\r\n") != std::string::npos);
  CHECK(wire.ends_with("\r\n\r\n"));
}

TEST_CASE("an answer is not to be kept unless it says so") {
  CHECK(to_wire({}, "r1", true, false).find("\r\nCache-Control: no-store\r\n") !=
        std::string::npos);
  CHECK(to_wire({.cache_control = "no-cache"}, "r1", true, false)
            .find("\r\nCache-Control: no-cache\r\n") != std::string::npos);
}

TEST_CASE("an answer that nothing changed tells no length") {
  const std::string wire = to_wire({.status = 304}, "r1", true, false);
  CHECK(wire.starts_with("HTTP/1.1 304 Not Modified\r\n"));
  CHECK(wire.find("\r\nContent-") == std::string::npos);
}

TEST_CASE("a problem is an answer of its own type, with the time to wait") {
  Problem problem{.status = 503, .detail = "later"};
  problem.retry_after = std::chrono::seconds(7);
  const HttpResponse response = to_response(problem, "r9");
  CHECK(response.status == 503);
  CHECK(response.content_type == "application/problem+json");
  REQUIRE(response.headers.size() == 1);
  CHECK(response.headers[0].first == "Retry-After");
  CHECK(response.headers[0].second == "7");
  CHECK(response.body.find("\"instance\":\"r9\"") != std::string::npos);
}

TEST_CASE("an answer of 204 has no content and no length") {
  const std::string wire = to_wire(no_content(), "r", true, false);
  CHECK(wire.starts_with("HTTP/1.1 204 No Content\r\n"));
  CHECK(wire.find("\r\nContent-") == std::string::npos);
  CHECK(wire.ends_with("\r\n\r\n"));
}

TEST_CASE("Accept names a media type, or it does not") {
  for (const auto* accept : {"text/event-stream", "application/json, Text/Event-Stream;q=0.5",
                             "text/html,text/event-stream", "text/event-stream;faq=0"}) {
    INFO(accept);
    CHECK(accepts(accept, "text/event-stream"));
  }
  for (const auto* accept : {"", "*/*", "text/*", "text/event-streams", ",", "application/json",
                             "text/event-stream;q=0", "text/event-stream ; Q=0.00"}) {
    INFO(accept);
    CHECK(!accepts(accept, "text/event-stream"));
  }
}
