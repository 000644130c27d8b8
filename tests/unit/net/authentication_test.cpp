#include "net/authentication.h"

#include <catch2/catch.hpp>

using namespace parlance::net;

namespace {

Authentication with_keys() {
  Options options;
  options.api_keys = {"alpha", "beta-2"};
  options.allowed_origins = {"https://chat.example.org"};
  return Authentication(options);
}

}  // namespace

TEST_CASE("without keys everybody is admitted") {
  const Authentication open{Options{}};
  CHECK(open.open());
  CHECK(open.admits("", ""));
  CHECK(open.admits("Bearer wrong", ""));
}

TEST_CASE("a bearer header with a known key is admitted") {
  const Authentication closed = with_keys();
  CHECK(closed.admits("Bearer alpha", ""));
  CHECK(closed.admits("bearer  beta-2 ", ""));
  for (const auto* header : {"", "Bearer", "Bearer ", "Bearer alph", "Bearer alphaa", "Basic alpha",
                             "alpha", "Bearer Alpha", "Bearer alpha, Bearer beta-2"}) {
    INFO(header);
    CHECK(!closed.admits(header, ""));
  }
}

TEST_CASE("a subprotocol with a known key is admitted") {
  const Authentication closed = with_keys();
  CHECK(closed.admits("", "bearer.alpha"));
  CHECK(closed.admits("", "chat, bearer.beta-2"));
  CHECK(!closed.admits("", "bearer.wrong"));
  CHECK(!closed.admits("", "bearer."));
  CHECK(!closed.admits("", "alpha"));
  CHECK(bearer_protocol("chat , bearer.k") == "bearer.k");
}

TEST_CASE("an origin must be of the same host and port or listed") {
  const Authentication closed = with_keys();
  CHECK(closed.admits_origin("", "localhost:8080"));
  CHECK(closed.admits_origin("http://localhost:8080", "localhost:8080"));
  CHECK(closed.admits_origin("http://LocalHost:8080", "localhost:8080"));
  CHECK(closed.admits_origin("http://[::1]:8080", "[::1]:8080"));
  CHECK(closed.admits_origin("https://chat.example.org", "localhost"));
  for (const auto* origin :
       {"null", "https://evil.example", "http://localhost.evil", "http://evil@localhost",
        "https://chat.example.org.evil", "https://chat.example.org:444", "http://", "localhost",
        "http://localhost:8080/x", "http://notlocalhost:8080", "http://[::1",
        "http://xlocalhost:8080", "http://localhost:3000", "http://localhost", "https://localhost",
        "http://localhost:80801", "http://localhost:x", "ftp://localhost:8080", "localhost:8080"}) {
    INFO(origin);
    CHECK(!closed.admits_origin(origin, "localhost:8080"));
  }
  CHECK(!closed.admits_origin("http://localhost", ""));
  CHECK(!closed.admits_origin("http://[::1]:3000", "[::1]:8080"));
}

TEST_CASE("a port that is left out is the scheme's") {
  const Authentication closed = with_keys();
  CHECK(closed.admits_origin("http://localhost", "localhost"));
  CHECK(closed.admits_origin("http://localhost", "localhost:80"));
  CHECK(closed.admits_origin("http://localhost:80", "localhost"));
  // TLS ends in a proxy that passes the Host header on.
  CHECK(closed.admits_origin("https://localhost", "localhost"));
  CHECK(closed.admits_origin("https://localhost", "localhost:443"));
  CHECK(!closed.admits_origin("https://localhost", "localhost:80"));
  CHECK(!closed.admits_origin("http://localhost", "localhost:443"));
}

TEST_CASE("equality in constant time is equality") {
  CHECK(equal_in_constant_time("", ""));
  CHECK(equal_in_constant_time("abc", "abc"));
  CHECK(!equal_in_constant_time("abc", "abd"));
  CHECK(!equal_in_constant_time("abc", "ab"));
}
