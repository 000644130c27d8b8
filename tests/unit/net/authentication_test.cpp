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

TEST_CASE("without a key of its own the console admits nobody") {
  const Authentication closed = with_keys();
  CHECK_FALSE(closed.has_console());
  CHECK_FALSE(closed.admits_console(""));
  CHECK_FALSE(closed.admits_console("Bearer "));
  CHECK_FALSE(closed.admits_console("Bearer alpha"));
}

TEST_CASE("the console admits its key alone, which is no key of clients") {
  Options options;
  options.api_keys = {"alpha"};
  options.console_key = "a-key-of-16-bytes";
  const Authentication both(options);
  CHECK(both.admits_console("Bearer a-key-of-16-bytes"));
  for (const auto* header : {"", "Bearer alpha", "Bearer a-key-of-16-byte", "a-key-of-16-bytes"}) {
    INFO(header);
    CHECK_FALSE(both.admits_console(header));
  }
  CHECK_FALSE(both.admits("Bearer a-key-of-16-bytes", ""));
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

TEST_CASE("without keys only loopback and listed hosts are served") {
  Options options;
  options.allowed_origins = {"https://chat.example.org", "null", "http://[fd00::1]:3000"};
  const Authentication open(options);
  for (const auto* host :
       {"localhost", "LocalHost:8080", "127.0.0.1", "127.0.0.1:8080", "127.255.0.9:1", "[::1]",
        "[::1]:8080", "chat.example.org", "Chat.Example.Org:8443", "[fd00::1]", "localhost:"}) {
    INFO(host);
    CHECK(open.admits_host(host));
  }
  for (const auto* host : {"",
                           "x",
                           "evil.example",
                           "evil.example:8080",
                           "127.0.0.1.evil.example",
                           "127.0.0.1.",
                           "127.0.0",
                           "127.0.0.1.1",
                           "127.0.0.256",
                           "127.0.0.1e",
                           "127..0.1",
                           "127.0.0.+1",
                           "1.0.0.127",
                           "128.0.0.1",
                           "0.0.0.0",
                           "192.168.0.1:8080",
                           "localhost.evil.example",
                           "xlocalhost",
                           "localhost@evil.example",
                           "127.0.0.1:8080@evil",
                           "localhost:x",
                           "[::1",
                           "[::1]x",
                           "[::2]",
                           "::1",
                           ":8080",
                           "sub.chat.example.org",
                           "null"}) {
    INFO(host);
    CHECK(!open.admits_host(host));
  }
}

TEST_CASE("with keys, or open on purpose, every host is served") {
  CHECK(with_keys().admits_host("evil.example"));
  Options options;
  options.auth_none = true;
  CHECK(Authentication(options).admits_host("chat.lan:8080"));
}

TEST_CASE("equality in constant time is equality") {
  CHECK(equal_in_constant_time("", ""));
  CHECK(equal_in_constant_time("abc", "abc"));
  CHECK(!equal_in_constant_time("abc", "abd"));
  CHECK(!equal_in_constant_time("abc", "ab"));
}

TEST_CASE("the token of an Authorization header is what follows Bearer") {
  CHECK(bearer_token("Bearer a.b.c") == "a.b.c");
  CHECK(bearer_token("bearer  a.b.c ") == "a.b.c");
  CHECK(bearer_token("Basic a.b.c").empty());
  CHECK(bearer_token("Bearer").empty());
  CHECK(bearer_token("Bearer ").empty());
  CHECK(bearer_token("").empty());
}
