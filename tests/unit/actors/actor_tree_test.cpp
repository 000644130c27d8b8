// The node as a whole: runs without a session, draining, stopping.

#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>
#include <thread>

#include <catch2/catch.hpp>

#include "tests/unit/actors/node.h"
#include "tests/unit/base/temp_dir.h"

namespace parlance::actors {
namespace {

using namespace std::chrono_literals;
using test::Node;
using test::quick;
using test::TempDir;

constexpr auto kSlow = 20ms;

/// Stops `node`; ends the test program when that does not come to an end, since nothing else could.
/// On this thread: CAF waits for the logger of the thread that made the actor system.
void stop_in_time(Node& node) {
  std::mutex mutex;
  std::condition_variable changed;
  bool stopped = false;
  std::thread watchdog([&] {
    std::unique_lock lock(mutex);
    if (changed.wait_for(lock, test::kPatience, [&] { return stopped; })) return;
    std::fputs("the node does not stop\n", stderr);
    std::abort();
  });
  node.stop();
  {
    const std::lock_guard lock(mutex);
    stopped = true;
  }
  changed.notify_one();
  watchdog.join();
}

// ---- Runs without a session ----

TEST_CASE("a run without a session returns its answer") {
  const TempDir directory;
  Node node(directory.path());
  const auto steps = node.run_once("hello").get();
  REQUIRE(steps.has_value());
  REQUIRE(steps->size() == 1);
  CHECK(steps->front().type == StepType::final_answer);
  CHECK_FALSE(steps->front().text.empty());
}

TEST_CASE("a run without a session may use tools") {
  const TempDir directory;
  Node node(directory.path());
  const auto steps = node.run_once("calculate 6 * 7", 1).get();
  REQUIRE(steps.has_value());
  REQUIRE(steps->size() == 3);
  CHECK((*steps)[0].type == StepType::planning);
  CHECK((*steps)[1].text.find("42") != std::string::npos);
  CHECK((*steps)[2].type == StepType::final_answer);
}

TEST_CASE("a run without a session tells and stores nothing") {
  const TempDir directory;
  Node node(directory.path());
  REQUIRE(node.run_once("hello").get().has_value());
  CHECK(node.sink.passing("").empty());
  CHECK(node.store().unfinished_sessions()->empty());
}

TEST_CASE("a run without a session that takes too long fails") {
  const TempDir directory;
  auto options = quick(kSlow);
  options.agent.run_timeout = 50ms;
  Node node(directory.path(), options);
  const auto steps = node.run_once("hello").get();
  REQUIRE_FALSE(steps.has_value());
  CHECK(steps.error().code == Errc::deadline_exceeded);
}

TEST_CASE("too many runs without a session are refused until one has ended") {
  const TempDir directory;
  auto options = quick(kSlow);
  options.sessions.run_once_max = 1;
  Node node(directory.path(), options);
  const auto first = node.run_once("hello");
  const auto second = node.run_once("hello").get();
  REQUIRE_FALSE(second.has_value());
  CHECK(second.error().code == Errc::resource_exhausted);
  CHECK(first.get().has_value());
  // The place is free once the actor is gone, which is soon after its reply.
  CHECK(node.tree().wait_for_runs(test::kPatience));
  CHECK(node.run_once("hello").get().has_value());
}

// ---- Draining ----

TEST_CASE("a node that is stopping refuses new messages and lets runs end") {
  const TempDir directory;
  Node node(directory.path(), quick(5ms));
  node.submit("s", "a", "hello");
  REQUIRE(node.sink.wait_for_deltas("s", 1));
  node.tree().begin_stop();
  CHECK(node.submit("s", "b", "hello").get().error().code == Errc::unavailable);
  CHECK(node.run_once("hello").get().error().code == Errc::unavailable);
  CHECK(node.tree().wait_for_runs(test::kPatience));
  CHECK(node.sink.wait_for_ends("s", 1));
}

TEST_CASE("draining gives up at its limit") {
  const TempDir directory;
  auto options = quick(1s);
  Node node(directory.path(), options);
  node.submit("s", "a", "hello");
  REQUIRE(node.sink.wait_for_deltas("s", 1));
  CHECK_FALSE(node.tree().wait_for_runs(50ms));
}

TEST_CASE("draining waits for runs without a session too") {
  const TempDir directory;
  Node node(directory.path(), quick(5ms));
  const auto run = node.run_once("hello");
  const test::Waiting<bool> begun;
  node.on_core(0, [begun](SessionGateway&) { begun.set(true); });
  REQUIRE(begun.get());
  CHECK(node.tree().wait_for_runs(test::kPatience));
  CHECK(run.came());
}

// ---- Stopping ----

TEST_CASE("a node that was never used stops") {
  const TempDir directory;
  Node node(directory.path());
  stop_in_time(node);
}

TEST_CASE("a node stops while runs, waiting messages and loads are pending") {
  const TempDir directory;
  Node node(directory.path(), quick(1s));
  for (int i = 0; i < 40; ++i) {
    const std::string session = "s" + std::to_string(i);
    node.submit(session, "a", "calculate 1 + 1");
    node.submit(session, "b", "hello");
    node.ping("never" + std::to_string(i), "x");
  }
  REQUIRE(node.sink.wait_for_deltas("s39", 1));
  stop_in_time(node);
}

TEST_CASE("a node stops in the middle of a run without a session") {
  const TempDir directory;
  Node node(directory.path(), quick(1s));
  node.run_once("hello");
  const test::Waiting<bool> begun;
  node.on_core(0, [begun](SessionGateway&) { begun.set(true); });
  REQUIRE(begun.get());
  stop_in_time(node);
}

TEST_CASE("a node stops under load, at any moment") {
  for (int round = 0; round < 10; ++round) {
    const TempDir directory;
    Node node(directory.path());
    for (int i = 0; i < 20; ++i) {
      node.submit("s" + std::to_string(i), "a", "calculate 1 + 1");
      node.run_once("hello", static_cast<std::size_t>(i % 2));
    }
    REQUIRE(node.sink.wait_for_deltas("s" + std::to_string(round), 1));
    stop_in_time(node);
  }
}

TEST_CASE("a node is ready once recovery has begun") {
  const TempDir directory;
  Node node(directory.path());
  const auto ready = [&] {
    const test::Waiting<bool> reply;
    node.on_core(0, [reply](SessionGateway& gateway) { reply.set(gateway.ready()); });
    return reply.get();
  };
  CHECK_FALSE(ready());
  REQUIRE(node.tree().recover().has_value());
  CHECK(ready());
}

}  // namespace
}  // namespace parlance::actors
