#include "llm/provider_gate.h"

#include <memory>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

namespace parlance::llm {
namespace {

using namespace std::chrono_literals;
using Outcome = ProviderGate::Outcome;

struct Fixture {
  explicit Fixture(std::size_t in_flight_max = 2, std::size_t queue_max = 2) {
    ProviderOptions options;
    options.name = "p";
    options.in_flight_max = in_flight_max;
    options.queue_max = queue_max;
    options.breaker_failures = 3;
    options.breaker_open = 5s;
    gate = std::make_shared<ProviderGate>(options, [this] { return now; });
  }
  /// Enters and expects a place at once.
  ProviderGate::Permit place() {
    auto entry = gate->enter([] {});
    REQUIRE(entry.has_value());
    REQUIRE(static_cast<bool>(entry->permit));
    return std::move(entry->permit);
  }
  /// Enters and expects to wait.
  ProviderGate::Ticket wait(int& notified) {
    auto entry = gate->enter([&notified] { ++notified; });
    REQUIRE(entry.has_value());
    REQUIRE_FALSE(static_cast<bool>(entry->permit));
    return entry->ticket;
  }
  Errc refusal() {
    const auto entry = gate->enter([] {});
    REQUIRE_FALSE(entry.has_value());
    return entry.error().code;
  }
  void fail(int times) {
    for (int i = 0; i < times; ++i) place().end(Outcome::failed);
  }
  SteadyTime now{};
  std::shared_ptr<ProviderGate> gate;
};

}  // namespace

TEST_CASE("places are given up to the limit, then calls wait in order") {
  Fixture f;
  auto first = f.place();
  auto second = f.place();
  int third_notified = 0;
  int fourth_notified = 0;
  const auto third = f.wait(third_notified);
  const auto fourth = f.wait(fourth_notified);
  CHECK(f.refusal() == Errc::resource_exhausted);

  first.end(Outcome::served);
  CHECK(third_notified == 1);
  CHECK(fourth_notified == 0);
  auto third_place = f.gate->claim(third);
  REQUIRE(third_place.has_value());
  CHECK(f.gate->claim(fourth).error().code == Errc::cancelled);

  second.end(Outcome::served);
  CHECK(fourth_notified == 1);
}

TEST_CASE("a newcomer does not pass those who wait") {
  Fixture f(1, 5);
  auto first = f.place();
  int notified = 0;
  const auto second = f.wait(notified);
  first.end(Outcome::served);
  CHECK(notified == 1);
  // The place is taken, though not yet claimed.
  int late = 0;
  f.wait(late);
  CHECK(late == 0);
  CHECK(f.gate->claim(second).has_value());
}

TEST_CASE("an abandoned ticket passes its place on") {
  Fixture f(1, 5);
  auto first = f.place();
  int second_notified = 0;
  int third_notified = 0;
  int fourth_notified = 0;
  const auto second = f.wait(second_notified);
  const auto third = f.wait(third_notified);
  const auto fourth = f.wait(fourth_notified);
  f.gate->abandon(third);
  first.end(Outcome::served);
  CHECK(second_notified == 1);
  f.gate->abandon(second);
  CHECK(third_notified == 0);
  CHECK(fourth_notified == 1);
  CHECK(f.gate->claim(fourth).has_value());
}

TEST_CASE("a permit that is dropped gives its place back") {
  Fixture f(1, 0);
  { const auto permit = f.place(); }
  const auto again = f.place();
  CHECK(f.refusal() == Errc::resource_exhausted);
}

TEST_CASE("failures in a row open the breaker, and those who wait are refused") {
  Fixture f(1, 5);
  f.fail(2);
  f.place().end(Outcome::served);
  f.fail(2);
  auto last = f.place();
  int notified = 0;
  const auto waiting = f.wait(notified);
  CHECK(f.gate->open_for() == 0ms);
  last.end(Outcome::failed);
  CHECK(f.gate->open_for() == 5s);
  CHECK(notified == 1);
  CHECK(f.gate->claim(waiting).error().code == Errc::unavailable);
  CHECK(f.refusal() == Errc::unavailable);
}

TEST_CASE("an open breaker lets one call through after its time, and that one decides") {
  Fixture f(5, 5);
  f.fail(3);
  f.now += 4999ms;
  CHECK(f.refusal() == Errc::unavailable);
  f.now += 1ms;
  auto probe = f.place();
  CHECK(f.refusal() == Errc::unavailable);
  SECTION("a success closes it") {
    probe.end(Outcome::served);
    const auto a = f.place();
    const auto b = f.place();
    CHECK(f.gate->open_for() == 0ms);
  }
  SECTION("a failure opens it again") {
    probe.end(Outcome::failed);
    CHECK(f.gate->open_for() == 5s);
    CHECK(f.refusal() == Errc::unavailable);
  }
  SECTION("a cancelled one leaves it to the next") {
    probe.end(Outcome::unknown);
    f.place().end(Outcome::served);
    f.place().end(Outcome::served);
  }
}

TEST_CASE("a late failure of an earlier call does not reopen the breaker's count") {
  Fixture f(5, 5);
  auto early = f.place();
  f.fail(3);
  f.now += 5s;
  auto probe = f.place();
  early.end(Outcome::failed);
  probe.end(Outcome::served);
  f.fail(2);
  CHECK(f.gate->open_for() == 0ms);
}

TEST_CASE("places survive use from several threads") {
  Fixture f(3, 10'000);
  std::atomic<int> most{0};
  std::atomic<int> inside{0};
  std::atomic<int> served{0};
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 500; ++i) {
        std::atomic<bool> notified{false};
        auto entry = f.gate->enter([&notified] { notified = true; });
        ProviderGate::Permit permit = std::move(entry->permit);
        if (!permit) {
          const auto deadline = std::chrono::steady_clock::now() + 10s;
          while (!notified && std::chrono::steady_clock::now() < deadline)
            std::this_thread::yield();
          permit = std::move(*f.gate->claim(entry->ticket));
        }
        const int now_inside = ++inside;
        int seen = most;
        while (now_inside > seen && !most.compare_exchange_weak(seen, now_inside)) {
        }
        ++served;
        --inside;
        permit.end(Outcome::served);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(served == 2000);
  CHECK(most <= 3);
  const auto a = f.place();
  const auto b = f.place();
  const auto c = f.place();
}

TEST_CASE("a gate tells how many wait, and how its breaker is") {
  Fixture f(1);
  auto first = f.place();
  int notified = 0;
  f.wait(notified);
  CHECK(f.gate->read().waiting == 1);
  CHECK(f.gate->read().state == ProviderGate::State::closed);

  Fixture failing;
  failing.fail(3);
  CHECK(failing.gate->read().state == ProviderGate::State::open);
  failing.now += 2s;
  CHECK(failing.gate->read().open_for == 3s);
}

TEST_CASE("a breaker whose time is over is read as half open before anybody calls") {
  Fixture f;
  f.fail(3);
  f.now += 5s;
  CHECK(f.gate->read().state == ProviderGate::State::half_open);
  CHECK(f.gate->read().open_for == 0ms);
}

}  // namespace parlance::llm
