#include "schemas/ids.h"

#include <string>
#include <string_view>

#include <catch2/catch.hpp>

#include "tests/unit/schemas/random_event.h"

namespace parlance {
namespace {

using namespace std::string_view_literals;

TEST_CASE("a session id may hold every allowed character") {
  CHECK(valid_session_id("ABCXYZabcxyz0189._~-"));
}

TEST_CASE("a session id has 1 to 128 characters") {
  CHECK_FALSE(valid_session_id(""));
  CHECK(valid_session_id("x"));
  CHECK(valid_session_id(std::string(128, 'x')));
  CHECK_FALSE(valid_session_id(std::string(129, 'x')));
}

TEST_CASE("a session id is no step of a path") {
  CHECK_FALSE(valid_session_id("."));
  CHECK_FALSE(valid_session_id(".."));
  CHECK(valid_session_id("..."));
  CHECK(valid_session_id(".a"));
  CHECK(valid_session_id("a."));
}

TEST_CASE("any other byte makes a session id invalid") {
  constexpr std::string_view kAllowed =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~-";
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    CAPTURE(byte);
    CHECK(valid_session_id(std::string("a") + c + "b") ==
          (kAllowed.find(c) != std::string_view::npos));
  }
}

TEST_CASE("a cursor is written as epoch, dash and place") {
  CHECK(to_string(Cursor{12, 345}) == "12-345");
}

TEST_CASE("every cursor survives printing and parsing") {
  test::Seeded random("every cursor survives printing and parsing");
  for (int i = 0; i < 2'000; ++i) {
    const Cursor cursor{test::random_number(random), test::random_number(random)};
    INFO("seed " << random.seed());
    REQUIRE(parse_cursor(to_string(cursor)) == cursor);
  }
}

TEST_CASE("the greatest cursor is parsed") {
  CHECK(parse_cursor("18446744073709551615-18446744073709551615") ==
        Cursor{UINT64_MAX, UINT64_MAX});
}

TEST_CASE("what is not a cursor is refused") {
  const std::string_view text =
      GENERATE(""sv, "-"sv, "1"sv, "1-"sv, "-1"sv, "--"sv, "1--1"sv, "-1-1"sv, "1-1-1"sv, "1-1 "sv,
               " 1-1"sv, "+1-1"sv, "1-+1"sv, "a-1"sv, "1-b"sv, "0x1-1"sv, "1.0-1"sv, "1-1\0"sv,
               "18446744073709551616-1"sv, "1-18446744073709551616"sv, "١-١"sv);
  CAPTURE(text);
  CHECK_FALSE(parse_cursor(text).has_value());
}

TEST_CASE("cursors of one epoch are ordered by place") {
  CHECK(Cursor{1, 2} < Cursor{1, 3});
}

}  // namespace
}  // namespace parlance
