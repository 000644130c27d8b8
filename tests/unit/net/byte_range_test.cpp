#include "net/byte_range.h"

#include <catch2/catch.hpp>

namespace parlance::net {
namespace {

std::string asked(std::string_view header, std::uint64_t bytes) {
  const auto range = parse_byte_range(header, bytes);
  if (std::holds_alternative<WholeBody>(range)) return "whole";
  if (std::holds_alternative<NoSuchRange>(range)) return "none";
  const auto& some = std::get<ByteRange>(range);
  return std::to_string(some.first) + "-" + std::to_string(some.last);
}

TEST_CASE("one range of bytes is understood") {
  CHECK(asked("bytes=0-0", 10) == "0-0");
  CHECK(asked("bytes=2-5", 10) == "2-5");
  CHECK(asked("bytes=9-9", 10) == "9-9");
  CHECK(asked("Bytes=2-5", 10) == "2-5");
  CHECK(asked("bytes= 2-5 ", 10) == "2-5");
}

TEST_CASE("a range may be open at its end, and ends with the bytes") {
  CHECK(asked("bytes=3-", 10) == "3-9");
  CHECK(asked("bytes=3-10", 10) == "3-9");
  CHECK(asked("bytes=3-99999999999999999999999", 10) == "3-9");
}

TEST_CASE("the last bytes are asked for by their number") {
  CHECK(asked("bytes=-4", 10) == "6-9");
  CHECK(asked("bytes=-10", 10) == "0-9");
  CHECK(asked("bytes=-11", 10) == "0-9");
  CHECK(asked("bytes=-99999999999999999999999", 10) == "0-9");
}

TEST_CASE("a range behind the end is none") {
  CHECK(asked("bytes=10-", 10) == "none");
  CHECK(asked("bytes=10-12", 10) == "none");
  CHECK(asked("bytes=99999999999999999999999-", 10) == "none");
  CHECK(asked("bytes=-0", 10) == "none");
  CHECK(asked("bytes=0-", 0) == "none");
  CHECK(asked("bytes=-1", 0) == "none");
}

TEST_CASE("what is no single range asks for the whole") {
  for (const char* const header :
       {"", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=1", "bytes=5-2", "bytes=0-1,3-4",
        "bytes=+1-2", "bytes=1-2x", "bytes=--1", "chunks=0-1", "bytes 0-1", "bytes=0x1-2"}) {
    CAPTURE(header);
    CHECK(asked(header, 10) == "whole");
  }
}

}  // namespace
}  // namespace parlance::net
