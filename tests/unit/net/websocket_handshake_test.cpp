#include "net/websocket_handshake.h"

#include <catch2/catch.hpp>

using namespace parlance::net;

namespace {

constexpr HandshakeHeaders kGood{.upgrade = "WebSocket",
                                 .connection = "keep-alive, Upgrade",
                                 .key = "dGhlIHNhbXBsZSBub25jZQ==",
                                 .version = "13"};

int status_of(HandshakeHeaders headers) {
  const auto problem = problem_with_handshake(headers);
  return problem ? problem->status : 0;
}

}  // namespace

TEST_CASE("the accept value is the one of RFC 6455") {
  CHECK(accept_value("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST_CASE("a good handshake has no problem") {
  CHECK(status_of(kGood) == 0);
}

TEST_CASE("what is no handshake is told to upgrade") {
  auto headers = kGood;
  headers.upgrade = "";
  CHECK(status_of(headers) == 426);
  headers = kGood;
  headers.connection = "close";
  CHECK(status_of(headers) == 426);
  headers = kGood;
  headers.version = "8";
  CHECK(status_of(headers) == 426);
}

TEST_CASE("a key that is not 16 bytes in base64 is malformed") {
  for (const auto* key : {"", "short", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZSEh",
                          "dGhlIHNhbXBsZSBub25j!Q==", "dGhlIHNhbXBsZSBub25jZSE="}) {
    auto headers = kGood;
    headers.key = key;
    INFO(key);
    CHECK(status_of(headers) == 400);
  }
}

TEST_CASE("tokens are found in a list whatever the case") {
  CHECK(has_token("a, UPGRADE ,b", "upgrade"));
  CHECK(!has_token("upgraded", "upgrade"));
  CHECK(!has_token("", "upgrade"));
}
