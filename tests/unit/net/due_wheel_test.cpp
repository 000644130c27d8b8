#include "net/due_wheel.h"

#include <vector>

#include <catch2/catch.hpp>

using namespace parlance::net;

TEST_CASE("an entry is due at its tick and once") {
  DueWheel<int> wheel;
  CHECK(wheel.add(3, 7) == 3);
  std::vector<std::pair<Tick, int>> seen;
  for (int i = 0; i < 600; ++i) {
    wheel.advance([&](int entry) { seen.emplace_back(wheel.now(), entry); });
  }
  CHECK(seen == std::vector<std::pair<Tick, int>>{{3, 7}});
}

TEST_CASE("the past is the next tick and the far future is cut") {
  DueWheel<int> wheel;
  CHECK(wheel.add(0, 1) == 1);
  CHECK(wheel.add(10'000, 2) == DueWheel<int>::kReach);
}

TEST_CASE("an entry may add itself again while it is visited") {
  DueWheel<int> wheel;
  wheel.add(1, 0);
  int visits = 0;
  for (int i = 0; i < 100; ++i) {
    wheel.advance([&](int entry) {
      ++visits;
      wheel.add(wheel.now() + 10, entry);
    });
  }
  CHECK(visits == 10);
}
