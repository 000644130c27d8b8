// What the operator's console sees of a node's sessions.

#include <string>

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

/// Two sessions of the same core.
std::pair<std::string, std::string> neighbours(Node& node) {
  std::string second = "b";
  while (node.home_of(second) != node.home_of("a")) second += "b";
  return {"a", second};
}

}  // namespace

TEST_CASE("a run is seen while it writes, with what it has written") {
  const TempDir directory;
  Node node(directory.path(), quick(kSlow));
  REQUIRE(node.submit("a", "m1", "tell me something long").get().has_value());
  REQUIRE(node.sink.wait_for_deltas("a", 1));
  const CoreActivity activity = node.activity("a");
  REQUIRE(activity.runs == 1);
  REQUIRE(activity.oldest_runs.size() == 1);
  const RunView& run = activity.oldest_runs.front();
  CHECK(run.session.text == "a");
  CHECK(run.message.text == "m1");
  CHECK(run.activity == RunActivity::writing);
  CHECK(run.text_bytes > 0);
}

TEST_CASE("messages that wait behind a run are counted with it") {
  const TempDir directory;
  Node node(directory.path(), quick(kSlow));
  REQUIRE(node.submit("a", "m1", "tell me something long").get().has_value());
  REQUIRE(node.sink.wait_for_deltas("a", 1));
  REQUIRE(node.submit("a", "m2", "and more").get().has_value());
  const CoreActivity activity = node.activity("a");
  CHECK(activity.oldest_runs.at(0).waiting == 1);
  CHECK(activity.last_used.at(0).waiting == 1);
}

TEST_CASE("a run that has ended is not seen, its session is") {
  const TempDir directory;
  Node node(directory.path());
  REQUIRE(node.submit("a", "m1", "hello").get().has_value());
  REQUIRE(node.sink.wait_for_ends("a", 1));
  node.ping("a", "").get();  // Behind what the end of the run still does.
  const CoreActivity activity = node.activity("a");
  CHECK(activity.runs == 0);
  CHECK(activity.oldest_runs.empty());
  REQUIRE(activity.last_used.size() == 1);
  const SessionView& session = activity.last_used.front();
  CHECK(session.activity == SessionActivity::idle);
  CHECK(session.last_event == LastEvent::completed);
  CHECK(session.last_seq == node.sink.recorded("a").back().cursor.seq);
  CHECK(session.last_event_at == node.sink.recorded("a").back().time);
}

TEST_CASE("a cancelled run leaves a session whose last event says so") {
  const TempDir directory;
  Node node(directory.path(), quick(kSlow));
  REQUIRE(node.submit("a", "m1", "tell me something long").get().has_value());
  REQUIRE(node.sink.wait_for_deltas("a", 1));
  REQUIRE(node.cancel("a").get().has_value());
  CHECK(node.activity("a").last_used.at(0).last_event == LastEvent::cancelled);
}

TEST_CASE("the session that was used last is the first") {
  const TempDir directory;
  Node node(directory.path());
  const auto [first, second] = neighbours(node);
  node.ping(first, "").get();
  node.ping(second, "").get();
  CHECK(node.activity(first).last_used.at(0).session.text == second);
  node.ping(first, "").get();
  CHECK(node.activity(first).last_used.at(0).session.text == first);
}

TEST_CASE("lists are bounded, numbers are not") {
  const TempDir directory;
  Node node(directory.path(), quick(kSlow));
  const auto [first, second] = neighbours(node);
  for (const std::string& session : {first, second}) {
    REQUIRE(node.submit(session, "m1", "tell me something long").get().has_value());
    REQUIRE(node.sink.wait_for_deltas(session, 1));
  }
  const CoreActivity activity = node.activity(first, 1);
  CHECK(activity.runs == 2);
  CHECK(activity.sessions_awake == 2);
  REQUIRE(activity.oldest_runs.size() == 1);
  CHECK(activity.oldest_runs.front().session.text == first);
  CHECK(activity.last_used.size() == 1);
}

TEST_CASE("the offline provider is seen with what it has answered") {
  const TempDir directory;
  Node node(directory.path());
  REQUIRE(node.submit("a", "m1", "hello").get().has_value());
  REQUIRE(node.sink.wait_for_ends("a", 1));
  test::Waiting<std::vector<ProviderView>> reply;
  node.on_core(0, [=](SessionGateway& gateway) { reply.set(gateway.console().providers()); });
  const auto providers = reply.get();
  REQUIRE(providers.size() == 1);
  CHECK(providers[0].offline);
  CHECK(providers[0].answered == 1);
  CHECK(providers[0].breaker == ProviderView::Breaker::none);
}

TEST_CASE("the store's usage is read in the background") {
  const TempDir directory;
  Node node(directory.path());
  test::Waiting<Result<StorageView>> reply;
  node.on_core(0, [=](SessionGateway& gateway) {
    gateway.console().read_storage([reply](auto view) { reply.set(std::move(view)); });
  });
  const auto view = reply.get();
  REQUIRE(view.has_value());
  CHECK(view->disk_free_bytes > 0);
}

}  // namespace parlance::actors
