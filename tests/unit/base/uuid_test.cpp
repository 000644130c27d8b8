#include "base/uuid.h"

#include <algorithm>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

using namespace parlance;

TEST_CASE("a drawn UUID says version 7 and the RFC's variant") {
  const std::string id = uuid7();
  INFO(id);
  CHECK(is_uuid(id));
  CHECK(id[14] == '7');
  CHECK(std::string("89ab").find(id[19]) != std::string::npos);
}

TEST_CASE("a drawn UUID begins with the time") {
  const std::int64_t before = wall_now().ms;
  const std::string id = uuid7();
  const std::int64_t ms = std::stoll(id.substr(0, 8) + id.substr(9, 4), nullptr, 16);
  CHECK(ms >= before);
  // Others of this process may have used up the numbers of some milliseconds.
  CHECK(ms <= wall_now().ms + 1'000);
}

TEST_CASE("each drawn UUID is greater than the one before") {
  std::string last = uuid7();
  for (int i = 0; i < 20'000; ++i) {
    const std::string next = uuid7();
    REQUIRE(next > last);
    last = next;
  }
}

TEST_CASE("threads draw different UUIDs, each in order") {
  std::vector<std::vector<std::string>> drawn(4);
  std::vector<std::thread> threads;
  threads.reserve(drawn.size());
  for (auto& mine : drawn) {
    threads.emplace_back([&mine] {
      for (int i = 0; i < 2'000; ++i) mine.push_back(uuid7());
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::set<std::string> all;
  for (const auto& mine : drawn) {
    CHECK(std::is_sorted(mine.begin(), mine.end()));
    all.insert(mine.begin(), mine.end());
  }
  CHECK(all.size() == 8'000);
}

TEST_CASE("a derived UUID is always the same") {
  // 0x0000'0190'0000'0000 ms; the low 12 bits of the place are its counter.
  const std::string id = derived_uuid7({0x019000000000}, "c", 0x1234);
  CHECK(id.substr(0, 19) == "01900000-0000-7234-");
  CHECK(id == "01900000-0000-7234-93c6-64e54c46a2a7");
  CHECK(is_uuid(id));
}

TEST_CASE("derived UUIDs differ by each of their arguments") {
  const std::set<std::string> ids = {derived_uuid7({1}, "a", 1), derived_uuid7({2}, "a", 1),
                                     derived_uuid7({1}, "b", 1), derived_uuid7({1}, "a", 2),
                                     derived_uuid7({1}, "a", 0x1001)};
  CHECK(ids.size() == 5);
}

TEST_CASE("only the lower-case form is a UUID") {
  CHECK(is_uuid("019a9a3e-7c1d-7b5e-9f00-3d2a4c5b6e70"));
  CHECK(is_uuid("00000000-0000-0000-0000-000000000000"));
  for (const auto* text :
       {"", "019A9A3E-7C1D-7B5E-9F00-3D2A4C5B6E70", "019a9a3e7c1d7b5e9f003d2a4c5b6e70",
        "{019a9a3e-7c1d-7b5e-9f00-3d2a4c5b6e7}", "019a9a3e-7c1d-7b5e-9f00-3d2a4c5b6e7",
        "019a9a3e-7c1d-7b5e-9f00-3d2a4c5b6e700", "019a9a3e-7c1d-7b5e-9f00-3d2a4c5b6e7g",
        "019a9a3e-7c1d-7b5e-9f0-03d2a4c5b6e70"}) {
    INFO(text);
    CHECK(!is_uuid(text));
  }
}
