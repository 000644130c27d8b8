#include "net/deflate.h"

#include <random>

#include <catch2/catch.hpp>

using namespace parlance::net;

TEST_CASE("a compressed message inflates to itself") {
  DeflateInflater inflater;
  bool too_big = false;
  std::mt19937 random(7);
  for (const std::size_t size : {0, 1, 5, 100, 10'000, 300'000}) {
    std::string text;
    for (std::size_t i = 0; i < size; ++i) text += static_cast<char>('a' + random() % 4);
    const std::string compressed = deflate_message(text);
    REQUIRE(inflater.inflate(compressed, 1 << 20, too_big) == text);
  }
  CHECK(!too_big);
}

TEST_CASE("inflating stops at the limit") {
  const std::string bomb = deflate_message(std::string(10 << 20, 'x'));
  CHECK(bomb.size() < 20'000);
  DeflateInflater inflater;
  bool too_big = false;
  CHECK(!inflater.inflate(bomb, 1 << 20, too_big));
  CHECK(too_big);
  too_big = false;
  const std::string exact = deflate_message(std::string(1000, 'x'));
  CHECK(inflater.inflate(exact, 1000, too_big));
  CHECK(!inflater.inflate(exact, 999, too_big));
  CHECK(too_big);
}

TEST_CASE("broken compressed bytes are refused") {
  DeflateInflater inflater;
  bool too_big = false;
  CHECK(!inflater.inflate("\xff\xff\xff\xff\xff", 1000, too_big));
  CHECK(!too_big);
}

TEST_CASE("only offers that fit are agreed to") {
  const std::string agreed =
      "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
  CHECK(agree_to_deflate("permessage-deflate") == agreed);
  CHECK(agree_to_deflate("permessage-deflate; client_max_window_bits") == agreed);
  CHECK(agree_to_deflate("x-other, permessage-deflate; client_max_window_bits=15") == agreed);
  CHECK(agree_to_deflate("permessage-deflate; server_max_window_bits=10").empty());
  CHECK(agree_to_deflate("permessage-deflate; server_max_window_bits=10, permessage-deflate") ==
        agreed);
  CHECK(agree_to_deflate("permessage-deflate; unknown").empty());
  CHECK(agree_to_deflate("").empty());
}
