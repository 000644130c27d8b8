#include "base/clock.h"

#include <catch2/catch.hpp>

namespace parlance {
namespace {

TEST_CASE("the history's time is UTC to the second") {
  CHECK(to_history_time({0}) == "1970-01-01 00:00:00");
  CHECK(to_history_time({1'767'322'984'999}) == "2026-01-02 03:03:04");
  CHECK(to_history_time({951'827'696'000}) == "2000-02-29 12:34:56");
}

TEST_CASE("a frame's time is RFC 3339 in UTC with milliseconds") {
  CHECK(to_rfc3339({0}) == "1970-01-01T00:00:00.000Z");
  CHECK(to_rfc3339({1'767'322'984'007}) == "2026-01-02T03:03:04.007Z");
  CHECK(to_rfc3339({253'402'300'799'999}) == "9999-12-31T23:59:59.999Z");
}

TEST_CASE("a time before 1970 is written as such") {
  CHECK(to_rfc3339({-1}) == "1969-12-31T23:59:59.999Z");
}

TEST_CASE("the wall clock is in this century") {
  CHECK(wall_now().ms > 1'700'000'000'000);
  CHECK(wall_now().ms < 4'102'444'800'000);
}

}  // namespace
}  // namespace parlance
