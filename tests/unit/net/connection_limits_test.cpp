#include "net/connection_limits.h"

#include <catch2/catch.hpp>

using namespace parlance::net;

TEST_CASE("permits are limited and come back when they die") {
  ConnectionLimits limits(2, 0);
  auto first = limits.acquire("a");
  auto second = limits.acquire("a");
  REQUIRE(first.has_value());
  REQUIRE(second.has_value());
  CHECK(!limits.acquire("a").has_value());
  CHECK(limits.open() == 2);
  first.reset();
  CHECK(limits.open() == 1);
  CHECK(limits.acquire("b").has_value());
  CHECK(limits.open() == 1);
}

TEST_CASE("a permit that moves is one permit") {
  ConnectionLimits limits(5, 5);
  auto first = limits.acquire("a");
  ConnectionPermit moved = std::move(*first);
  first.reset();
  CHECK(limits.open() == 1);
  ConnectionPermit assigned;
  assigned = std::move(moved);
  CHECK(limits.open() == 1);
  assigned.release();
  CHECK(limits.open() == 0);
  assigned.release();
  CHECK(limits.open() == 0);
}

TEST_CASE("one address has its own limit") {
  ConnectionLimits limits(10, 1);
  const auto first = limits.acquire("a");
  CHECK(!limits.acquire("a").has_value());
  CHECK(limits.acquire("b").has_value());
  CHECK(limits.open() == 1);
}

TEST_CASE("waiting for none ends when there is none") {
  ConnectionLimits limits(10, 0);
  CHECK(limits.wait_until_none(std::chrono::milliseconds(0)));
  const auto one = limits.acquire("a");
  CHECK(!limits.wait_until_none(std::chrono::milliseconds(0)));
}
