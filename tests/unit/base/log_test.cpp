#include "base/log.h"

#include <string>

#include <catch2/catch.hpp>

#include "base/json.h"
#include "tests/unit/base/seeded.h"

namespace parlance {
namespace {

TEST_CASE("a log value is quoted") {
  CHECK(log::value("two words") == "\"two words\"");
  CHECK(log::value("") == "\"\"");
}

TEST_CASE("quotes and backslashes of a log value are escaped") {
  CHECK(log::value(R"(a"b\c)") == R"("a\"b\\c")");
}

TEST_CASE("a log value cannot begin a line of its own") {
  CHECK(log::value("one\ntwo\r\x1b[31m\x7f") == R"("one\x0atwo\x0d\x1b[31m\x7f")");
}

TEST_CASE("a log value keeps Arabic as it is") {
  CHECK(log::value("مرحبا") == "\"مرحبا\"");
}

TEST_CASE("a long log value is cut and says so") {
  CHECK(log::value(std::string(201, 'x')) == '"' + std::string(200, 'x') + "...\"");
  CHECK(log::value(std::string(200, 'x')) == '"' + std::string(200, 'x') + '"');
}

TEST_CASE("a log value is valid UTF-8 wherever it is cut and whatever it was") {
  test::Seeded random("a log value is valid UTF-8");
  for (int i = 0; i < 500; ++i) {
    std::string text(random.below(4), 'x');
    while (text.size() < 220) text += random.one_in(20) ? "\xd8" : "س";
    INFO("seed " << random.seed());
    REQUIRE(json::valid_utf8(log::value(text)));
  }
}

TEST_CASE("log levels are read in either case") {
  const auto level = log::parse_level("WARN");
  REQUIRE(level.has_value());
  CHECK(*level == log::Level::warn);
}

TEST_CASE("an unknown log level is refused with the known ones") {
  const auto level = log::parse_level("loud");
  REQUIRE_FALSE(level.has_value());
  CHECK(level.error().detail.find("trace, debug, info, warn, error, off") != std::string::npos);
}

TEST_CASE("a level below the lowest is not enabled") {
  log::set_level(log::Level::warn);
  CHECK_FALSE(log::enabled(log::Level::info));
  CHECK(log::enabled(log::Level::error));
  log::set_level(log::Level::info);
}

}  // namespace
}  // namespace parlance
