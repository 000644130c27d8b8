#include "config/checks.h"

#include <string>
#include <string_view>

#include <catch2/catch.hpp>

#include "net/authentication.h"

namespace parlance::config {
namespace {

using namespace std::string_view_literals;

// ---- Keys ----

TEST_CASE("a key for clients is anything without blanks and control characters") {
  CHECK(problem_with_client_key("x").empty());
  CHECK(problem_with_client_key("key-1_2.3~4+/=!").empty());
  CHECK(problem_with_client_key("مفتاح").empty());
}

TEST_CASE("an empty key is told as such") {
  CHECK(problem_with_client_key("") == "is empty; leave it out");
}

TEST_CASE("a key with a blank or a control character is told without showing it") {
  const std::string_view key =
      GENERATE("a b"sv, " ab"sv, "ab\t"sv, "a\nb"sv, "a\0b"sv, "a\x7f"sv, "\x1b[0m"sv);
  CHECK(problem_with_client_key(key) ==
        "holds a blank or a control character, which a key may not");
}

// ---- Origins ----

TEST_CASE("what a browser may send as an origin is possible") {
  const std::string origin =
      GENERATE("https://chat.example.org", "http://localhost:3000", "http://localhost",
               "https://Chat.Example.ORG:8443", "http://127.0.0.1:8001", "http://[::1]:3000",
               "https://[2001:db8::1]", "http://under_score.local", "https://example.org:80",
               "http://example.org:443", "chrome-extension://abcdefghijklmnop",
               "capacitor://localhost", "null", "file://");
  CAPTURE(origin);
  CHECK(possible_origin(origin));
}

TEST_CASE("what no browser sends as an origin is not possible") {
  const std::string_view origin = GENERATE(
      ""sv, "*"sv, "chat.example.org"sv, "localhost:3000"sv, "https://"sv,
      "https://*.example.org"sv, "https://example.org/"sv, "https://example.org/chat"sv,
      "https://example.org?x"sv, "https://example.org#x"sv, "https://user@example.org"sv,
      "https://example.org:"sv, "https://example.org:*"sv, "https://example.org:x"sv,
      "https://example.org:0"sv, "https://example.org:080"sv, "https://example.org:65536"sv,
      "https://example.org:443"sv, "http://example.org:80"sv, "https://example.org "sv,
      " https://example.org"sv, "https:/example.org"sv, "://example.org"sv, "1http://example.org"sv,
      "ws://example.org"sv, "wss://example.org"sv, "https://[::1"sv, "https://[]"sv,
      "https://[::1]x"sv, "https://بيت.example"sv, "https://exa\0mple.org"sv,
      "https://a.org,https://b.org"sv);
  CAPTURE(origin);
  CHECK_FALSE(possible_origin(origin));
}

TEST_CASE("an origin that is possible is admitted where it is listed") {
  const std::string origin = GENERATE("https://chat.example.org", "http://localhost:3000",
                                      "http://[::1]:3000", "null", "file://");
  REQUIRE(possible_origin(origin));
  net::Options options;
  options.allowed_origins = {origin};
  CHECK(net::Authentication(options).admits_origin(origin, "other.example"));
}

// ---- Hosts ----

TEST_CASE("a host is a name or an address") {
  const std::string_view host =
      GENERATE("localhost"sv, "chroma.example"sv, "under_score"sv, "10.0.0.7"sv, "0.0.0.0"sv,
               "::1"sv, "[::1]"sv, "2001:db8::1"sv, "::ffff:10.0.0.7"sv);
  CAPTURE(host);
  CHECK(possible_host(host));
}

TEST_CASE("what holds more than a host, or less, is none") {
  const std::string_view host =
      GENERATE(""sv, "http://h"sv, "h:80"sv, "h/x"sv, "a b"sv, "user@h"sv, "[::1]:80"sv, "[::1"sv,
               "[]"sv, "h\n"sv, "::1/64"sv, "بيت"sv);
  CAPTURE(host);
  CHECK_FALSE(possible_host(host));
}

}  // namespace
}  // namespace parlance::config
