// One conversation through the real actors, store and offline provider.

#include <algorithm>
#include <csignal>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>
#include <sys/resource.h>

#include "base/metrics.h"
#include "schemas/codec.h"
#include "tests/unit/actors/node.h"
#include "tests/unit/base/seeded.h"
#include "tests/unit/base/temp_dir.h"

namespace parlance::actors {
namespace {

using namespace std::chrono_literals;
using test::Node;
using test::quick;
using test::TempDir;

/// Slow enough that a test meets a run in its middle: an answer has some forty words.
constexpr auto kSlow = 20ms;

/// "kind message-id" of each event, in log order.
std::vector<std::string> told(const std::vector<RecordedEvent>& events) {
  std::vector<std::string> out;
  for (const RecordedEvent& recorded : events) {
    std::string kind;
    if (std::holds_alternative<MessageAccepted>(recorded.event)) {
      kind = "accepted";
    } else if (const auto* step = std::get_if<StepRecorded>(&recorded.event)) {
      kind = to_string(step->type);
    } else if (const auto* end = std::get_if<RunEnded>(&recorded.event)) {
      kind = end->outcome == RunOutcome::completed ? "completed" : "cancelled";
    } else {
      kind = "failed";
    }
    out.push_back(kind + " " + message_of(recorded.event).text);
  }
  return out;
}

using Told = std::vector<std::string>;

std::string answer_text(const std::vector<RecordedEvent>& events) {
  for (const RecordedEvent& recorded : events) {
    const auto* step = std::get_if<StepRecorded>(&recorded.event);
    if (step != nullptr && step->type == StepType::final_answer) return step->text;
  }
  return {};
}

/// What every log must be: places without a hole, steps and one end after each message, and steps
/// in an order that a run can have. `ended`: the messages that must have ended.
void require_sound(const std::vector<RecordedEvent>& events, std::size_t ended) {
  std::map<std::string, std::vector<std::string>> by_message;
  std::size_t ends = 0;
  for (std::size_t i = 0; i < events.size(); ++i) {
    REQUIRE(events[i].cursor.seq == i + 1);
    auto& story = by_message[message_of(events[i].event).text];
    const std::string kind = told({events[i]})[0];
    const std::string what = kind.substr(0, kind.find(' '));
    if (what == "accepted") REQUIRE(story.empty());
    if (what != "accepted") REQUIRE_FALSE(story.empty());
    if (!story.empty()) {
      REQUIRE(story.back() != "completed");
      REQUIRE(story.back() != "cancelled");
      REQUIRE(story.back() != "failed");
      REQUIRE_FALSE((story.back() == "FinalAnswerStep" && what != "completed"));
      REQUIRE_FALSE((what == "PlanningStep" && story.back() == "PlanningStep"));
      REQUIRE_FALSE((what == "ActionStep" && story.back() != "PlanningStep"));
    }
    ends += is_terminal(events[i].event) ? 1 : 0;
    story.push_back(what);
  }
  REQUIRE(ends == ended);
}

std::vector<RecordedEvent> log_of(Node& node, const std::string& session) {
  ReadEvents all;
  all.events_max = 10'000;
  auto page = node.read(session, all).get();
  REQUIRE(page.has_value());
  return page->events;
}

// ---- One message ----

TEST_CASE("a message is accepted, answered and ended") {
  const TempDir directory;
  Node node(directory.path());
  const auto accepted = node.submit("s", "m", "hello").get();
  REQUIRE(accepted.has_value());
  CHECK(accepted->cursor == Cursor{node.store().epoch(), 1});
  CHECK_FALSE(accepted->duplicate);
  REQUIRE(node.sink.wait_for_ends("s", 1));
  CHECK(told(node.sink.recorded("s")) == Told{"accepted m", "FinalAnswerStep m", "completed m"});
}

TEST_CASE("the deltas of an answer join to the recorded answer") {
  const TempDir directory;
  Node node(directory.path());
  node.submit("s", "m", "كيف حالك؟ hello");
  REQUIRE(node.sink.wait_for_ends("s", 1));
  std::string text;
  for (const PassingEvent& event : node.sink.passing("s")) {
    text += std::get<TextDelta>(event).text;
  }
  CHECK(text == answer_text(node.sink.recorded("s")));
}

TEST_CASE("what was told is what is in the log") {
  const TempDir directory;
  Node node(directory.path());
  node.submit("s", "m", "hello");
  REQUIRE(node.sink.wait_for_ends("s", 1));
  CHECK(told(log_of(node, "s")) == told(node.sink.recorded("s")));
  require_sound(log_of(node, "s"), 1);
}

TEST_CASE("a message that asks for a tool is planned, acted on and answered") {
  const TempDir directory;
  Node node(directory.path());
  node.submit("s", "m", "calculate 6 * 7");
  REQUIRE(node.sink.wait_for_ends("s", 1));
  CHECK(told(node.sink.recorded("s")) ==
        Told{"accepted m", "PlanningStep m", "ActionStep m", "FinalAnswerStep m", "completed m"});
  CHECK(answer_text(node.sink.recorded("s")).find("42") != std::string::npos);
}

TEST_CASE("a session is served from every core") {
  const TempDir directory;
  Node node(directory.path());
  const std::size_t other = 1 - node.home_of("s");
  const auto accepted =
      node.submit("s", SubmitMessage{{"m"}, "hello", OnBusy::queue, {}}, other).get();
  REQUIRE(accepted.has_value());
  REQUIRE(node.sink.wait_for_ends("s", 1));
  CHECK(node.ping("s", "data", other).get() == "data");
  CHECK_FALSE(node.snapshot("s", other).get().has_value());
  CHECK_FALSE(node.cancel("s", {}, other).get().has_value());
}

TEST_CASE("replies come back on the core that asked") {
  const TempDir directory;
  Node node(directory.path());
  for (const std::size_t core : {0U, 1U}) {
    const test::Waiting<bool> same;
    node.on_core(core, [same](SessionGateway& gateway) {
      const auto here = std::this_thread::get_id();
      gateway.ping({"s"}, "x", [same, here](const Status&, const std::string&) {
        same.set(std::this_thread::get_id() == here);
      });
    });
    CHECK(same.get());
  }
}

TEST_CASE("sessions are spread over the cores") {
  const TempDir directory;
  Node node(directory.path());
  std::map<std::size_t, int> homes;
  for (int i = 0; i < 1'000; ++i) ++homes[node.home_of("chat-" + std::to_string(i))];
  REQUIRE(homes.size() == 2);
  CHECK(homes[0] > 400);
  CHECK(homes[1] > 400);
}

TEST_CASE("many sessions are answered at once, each in its own log") {
  const TempDir directory;
  Node node(directory.path());
  for (int i = 0; i < 60; ++i) node.submit("s" + std::to_string(i), "m", "hello");
  for (int i = 0; i < 60; ++i) {
    const std::string session = "s" + std::to_string(i);
    REQUIRE(node.sink.wait_for_ends(session, 1));
    require_sound(node.sink.recorded(session), 1);
  }
}

// ---- Messages while one runs ----

TEST_CASE("messages that come while one runs are answered after it, in order") {
  const TempDir directory;
  Node node(directory.path(), quick(2ms));
  for (const char* id : {"a", "b", "c"}) node.submit("s", id, "hello");
  REQUIRE(node.sink.wait_for_ends("s", 3));
  Told ends;
  for (const std::string& event : told(node.sink.recorded("s"))) {
    if (event.starts_with("completed")) ends.push_back(event);
  }
  CHECK(ends == Told{"completed a", "completed b", "completed c"});
  require_sound(log_of(node, "s"), 3);
}

TEST_CASE("a message is accepted while another runs") {
  const TempDir directory;
  Node node(directory.path(), quick(kSlow));
  node.submit("s", "a", "hello");
  REQUIRE(node.sink.wait_for_deltas("s", 1));
  const auto accepted = node.submit("s", "b", "hello").get();
  REQUIRE(accepted.has_value());
  CHECK(accepted->cursor.seq == 2);
}

TEST_CASE("past its bound the queue refuses and says so") {
  const TempDir directory;
  auto options = quick(kSlow);
  options.sessions.queue_max = 2;
  Node node(directory.path(), options);
  node.submit("s", "running", "hello");
  REQUIRE(node.sink.wait_for_deltas("s", 1));
  CHECK(node.submit("s", "b", "hello").get().has_value());
  CHECK(node.submit("s", "c", "hello").get().has_value());
  const auto refused = node.submit("s", "d", "hello").get();
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == Errc::resource_exhausted);
  CHECK(refused.error().detail.find("2 messages wait in this chat already") == 0);
}

TEST_CASE("a message that rather is rejected than waits is rejected") {
  const TempDir directory;
  Node node(directory.path(), quick(kSlow));
  node.submit("s", "a", "hello");
  REQUIRE(node.sink.wait_for_deltas("s", 1));
  const auto refused = node.submit("s", "b", "hello", OnBusy::reject).get();
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == Errc::failed_precondition);
  CHECK(told(log_of(node, "s")) == Told{"accepted a"});
}

TEST_CASE("an idle session takes a message that would rather be rejected than wait") {
  const TempDir directory;
  Node node(directory.path());
  CHECK(node.submit("s", "a", "hello", OnBusy::reject).get().has_value());
}

TEST_CASE("an interrupting message cancels the run and is answered next") {
  const TempDir directory;
  Node node(directory.path(), quick(kSlow));
  node.submit("s", "a", "hello");
  REQUIRE(node.sink.wait_for_deltas("s", 2));
  node.submit("s", "later", "hello");
  node.submit("s", "b", "hello", OnBusy::interrupt);
  REQUIRE(node.sink.wait_for_ends("s", 3));
  CHECK(told(node.sink.recorded("s")) ==
        Told{"accepted a", "accepted later", "accepted b", "PartialAnswerStep a", "cancelled a",
             "FinalAnswerStep b", "completed b", "FinalAnswerStep later", "completed later"});
}

TEST_CASE("the last of several interrupting messages is answered next") {
  const TempDir directory;
  Node node(directory.path(), quick(kSlow));
  node.submit("s", "a", "hello");
  REQUIRE(node.sink.wait_for_deltas("s", 2));
  node.submit("s", "b", "hello", OnBusy::interrupt);
  node.submit("s", "c", "hello", OnBusy::interrupt);
  REQUIRE(node.sink.wait_for_ends("s", 3));
  std::vector<std::string> ended;
  for (const std::string& each : told(node.sink.recorded("s"))) {
    if (each.starts_with("completed") || each.starts_with("cancelled")) ended.push_back(each);
  }
  // Where "b" had begun already when "c" came, it is cancelled.
  const bool b_first = ended[1] == "cancelled b";
  CHECK(ended == (b_first ? Told{"cancelled a", "cancelled b", "completed c"}
                          : Told{"cancelled a", "completed c", "completed b"}));
}

TEST_CASE("a steering message that nobody heard yet is cancelled by its id") {
  const TempDir directory;
  Node node(directory.path(), quick(kSlow));
  node.submit("s", "a", "hello");
  REQUIRE(node.sink.wait_for_deltas("s", 1));
  REQUIRE(node.submit("s", "b", "and be brief", OnBusy::steer).get().has_value());
  CHECK(node.cancel("s", MessageId{"b"}).get().has_value());
  CHECK(node.cancel("s", MessageId{"b"}).get().error().code == Errc::not_found);
  REQUIRE(node.sink.wait_for_ends("s", 2));
  CHECK(told(node.sink.recorded("s")) ==
        Told{"accepted a", "accepted b", "cancelled b", "FinalAnswerStep a", "completed a"});
}

TEST_CASE("a steering message ends together with the run that hears it") {
  const TempDir directory;
  Node node(directory.path(), quick(kSlow));
  node.submit("s", "a", "calculate 1 + 2");
  // While the model writes its plan; it is heard at the call after the tools.
  REQUIRE(node.sink.wait_for_deltas("s", 1));
  node.submit("s", "b", "and be brief", OnBusy::steer);
  REQUIRE(node.sink.wait_for_ends("s", 2));
  CHECK(told(node.sink.recorded("s")) == Told{"accepted a", "accepted b", "PlanningStep a",
                                              "ActionStep a", "FinalAnswerStep a", "completed a",
                                              "completed b"});
}

TEST_CASE("a steering message that came too late is answered by a run of its own") {
  const TempDir directory;
  Node node(directory.path(), quick(kSlow));
  node.submit("s", "a", "hello");
  REQUIRE(node.sink.wait_for_deltas("s", 1));
  node.submit("s", "b", "and be brief", OnBusy::steer);
  REQUIRE(node.sink.wait_for_ends("s", 2));
  CHECK(told(node.sink.recorded("s")) == Told{"accepted a", "accepted b", "FinalAnswerStep a",
                                              "completed a", "FinalAnswerStep b", "completed b"});
}

// ---- Messages seen before ----

TEST_CASE("a message that has ended is not run again") {
  const TempDir directory;
  Node node(directory.path());
  node.submit("s", "m", "hello");
  REQUIRE(node.sink.wait_for_ends("s", 1));
  const auto again = node.submit("s", "m", "hello").get();
  REQUIRE(again.has_value());
  CHECK(again->duplicate);
  CHECK(again->cursor.seq == 1);
  CHECK(log_of(node, "s").size() == 3);
}

TEST_CASE("a repeat of a message that has ended is told so while another runs, and not refused") {
  const TempDir directory;
  auto options = quick(100ms);  // Longer than all that is asked meanwhile.
  options.sessions.queue_max = 1;
  Node node(directory.path(), options);
  node.submit("s", "m", "calculate 1 + 2");
  REQUIRE(node.sink.wait_for_ends("s", 1));
  node.submit("s", "running", "hello");
  node.submit("s", "waiting", "hello");  // Fills the queue.
  for (const OnBusy on_busy : {OnBusy::reject, OnBusy::queue}) {
    const auto again = node.submit("s", "m", "calculate 1 + 2", on_busy).get();
    REQUIRE(again.has_value());
    CHECK(again->duplicate);
    CHECK(again->cursor.seq == 1);
    const auto other = node.submit("s", "m", "another text", on_busy).get();
    REQUIRE_FALSE(other.has_value());
    CHECK(other.error().code == Errc::already_exists);
    const auto fresh = node.submit("s", "fresh", "hello", on_busy).get();
    REQUIRE_FALSE(fresh.has_value());
    CHECK(fresh.error().code != Errc::already_exists);
  }
}

TEST_CASE("a refused message may be sent again") {
  const TempDir directory;
  Node node(directory.path(), quick(kSlow));
  node.submit("s", "a", "hello");
  REQUIRE(node.sink.wait_for_deltas("s", 1));
  REQUIRE_FALSE(node.submit("s", "b", "hello", OnBusy::reject).get().has_value());
  const auto taken = node.submit("s", "b", "hello").get();
  REQUIRE(taken.has_value());
  CHECK_FALSE(taken->duplicate);
}

TEST_CASE("a message that runs is joined") {
  const TempDir directory;
  Node node(directory.path(), quick(2ms));
  node.submit("s", "m", "hello");
  REQUIRE(node.sink.wait_for_deltas("s", 1));
  CHECK(node.submit("s", "m", "hello").get()->duplicate);
  REQUIRE(node.sink.wait_for_ends("s", 1));
  require_sound(log_of(node, "s"), 1);
}

TEST_CASE("the same message many times at once is accepted once") {
  const TempDir directory;
  Node node(directory.path());
  std::vector<test::Waiting<Result<SubmitAccepted>>> replies;
  for (int i = 0; i < 20; ++i) {
    const SubmitMessage message{{"m"}, "hello", OnBusy::queue, {}};
    replies.push_back(node.submit("s", message, static_cast<std::size_t>(i % 2)));
  }
  int fresh = 0;
  for (const auto& reply : replies) {
    const auto accepted = reply.get();
    REQUIRE(accepted.has_value());
    CHECK(accepted->cursor.seq == 1);
    fresh += accepted->duplicate ? 0 : 1;
  }
  CHECK(fresh == 1);
  REQUIRE(node.sink.wait_for_ends("s", 1));
  require_sound(log_of(node, "s"), 1);
}

TEST_CASE("a message id with another text is refused, at once and later") {
  const TempDir directory;
  Node node(directory.path());
  const auto first = node.submit("s", "m", "hello");
  const auto second = node.submit("s", "m", "goodbye");
  CHECK(first.get().has_value());
  REQUIRE_FALSE(second.get().has_value());
  CHECK(second.get().error().code == Errc::already_exists);
  REQUIRE(node.sink.wait_for_ends("s", 1));
  REQUIRE_FALSE(node.submit("s", "m", "goodbye").get().has_value());
}

TEST_CASE("an idempotency key used for another message is refused, at once and later") {
  const TempDir directory;
  Node node(directory.path());
  // Behind a first message, so that the next two leave for the disk together.
  node.submit("s", "zero", "hello");
  const auto first = node.submit("s", SubmitMessage{{"a"}, "one", OnBusy::queue, "key"});
  const auto second = node.submit("s", SubmitMessage{{"b"}, "two", OnBusy::queue, "key"});
  CHECK(first.get().has_value());
  REQUIRE_FALSE(second.get().has_value());
  CHECK(second.get().error().code == Errc::already_exists);
  REQUIRE(node.sink.wait_for_ends("s", 2));
  const auto third = node.submit("s", SubmitMessage{{"c"}, "one", OnBusy::queue, "key"}).get();
  REQUIRE_FALSE(third.has_value());
  require_sound(log_of(node, "s"), 2);
}

// ---- Cancelling ----

TEST_CASE("a cancelled run keeps its text and ends, and then the cancel is answered") {
  const TempDir directory;
  Node node(directory.path(), quick(kSlow));
  node.submit("s", "m", "hello");
  REQUIRE(node.sink.wait_for_deltas("s", 3));
  CHECK(node.cancel("s").get().has_value());
  CHECK(told(node.sink.recorded("s")) == Told{"accepted m", "PartialAnswerStep m", "cancelled m"});
}

TEST_CASE("a run is cancelled by its message's id") {
  const TempDir directory;
  Node node(directory.path(), quick(kSlow));
  node.submit("s", "m", "hello");
  REQUIRE(node.sink.wait_for_deltas("s", 1));
  CHECK(node.cancel("s", MessageId{"m"}).get().has_value());
}

TEST_CASE("a waiting message is cancelled and the run goes on") {
  const TempDir directory;
  Node node(directory.path(), quick(kSlow));
  node.submit("s", "a", "hello");
  REQUIRE(node.submit("s", "b", "hello").get().has_value());
  CHECK(node.cancel("s", MessageId{"b"}).get().has_value());
  REQUIRE(node.sink.wait_for_ends("s", 2));
  CHECK(told(node.sink.recorded("s")) ==
        Told{"accepted a", "accepted b", "cancelled b", "FinalAnswerStep a", "completed a"});
}

TEST_CASE("a message is cancelled before it is on the disk") {
  const TempDir directory;
  Node node(directory.path(), quick(kSlow));
  const auto accepted = node.submit("s", "m", "hello");
  const auto cancelled = node.cancel("s", MessageId{"m"});
  CHECK(accepted.get().has_value());
  CHECK(cancelled.get().has_value());
  CHECK(told(log_of(node, "s")) == Told{"accepted m", "cancelled m"});
}

TEST_CASE("a cancel of nothing is not found") {
  const TempDir directory;
  Node node(directory.path());
  const auto nothing = node.cancel("s").get();
  REQUIRE_FALSE(nothing.has_value());
  CHECK(nothing.error().code == Errc::not_found);
  node.submit("s", "m", "hello");
  REQUIRE(node.sink.wait_for_ends("s", 1));
  const auto ended = node.cancel("s", MessageId{"m"}).get();
  REQUIRE_FALSE(ended.has_value());
  CHECK(ended.error().code == Errc::not_found);
}

TEST_CASE("after a cancel the session answers the next message") {
  const TempDir directory;
  Node node(directory.path(), quick(2ms));
  node.submit("s", "a", "hello");
  REQUIRE(node.sink.wait_for_deltas("s", 1));
  node.cancel("s");
  node.submit("s", "b", "hello");
  REQUIRE(node.sink.wait_for_ends("s", 2));
  CHECK(told(node.sink.recorded("s")).back() == "completed b");
}

// ---- Limits of time ----

TEST_CASE("a run that takes too long fails") {
  const TempDir directory;
  auto options = quick(kSlow);
  options.agent.run_timeout = 100ms;
  Node node(directory.path(), options);
  node.submit("s", "m", "hello");
  REQUIRE(node.sink.wait_for_ends("s", 1));
  const auto log = node.sink.recorded("s");
  REQUIRE(std::holds_alternative<RunFailed>(log.back().event));
  CHECK(std::get<RunFailed>(log.back().event).code == Errc::deadline_exceeded);
}

// ---- Snapshots and pings ----

TEST_CASE("a snapshot in the middle of an answer is the text so far") {
  const TempDir directory;
  Node node(directory.path(), quick(kSlow));
  node.submit("s", "m", "hello");
  REQUIRE(node.sink.wait_for_deltas("s", 3));
  const auto snapshot = node.snapshot("s").get();
  REQUIRE(snapshot.has_value());
  CHECK(snapshot->message_id.text == "m");
  REQUIRE(node.sink.wait_for_ends("s", 1));
  CHECK(answer_text(node.sink.recorded("s")).starts_with(snapshot->text));
}

TEST_CASE("there is no snapshot of a session where nothing runs") {
  const TempDir directory;
  Node node(directory.path());
  CHECK_FALSE(node.snapshot("s").get().has_value());
}

TEST_CASE("a ping goes to a session and back, also to one that never was") {
  const TempDir directory;
  Node node(directory.path());
  CHECK(node.ping("s", "as it is").get() == "as it is");
  CHECK(log_of(node, "s").empty());
}

// ---- Sleeping ----

double counter(const std::string& name) {
  const std::string text = metrics::to_text();
  const std::size_t at = text.find("\n" + name + " ");
  return at == std::string::npos ? 0 : std::stod(text.substr(at + name.size() + 2));
}

/// Waits until `condition` holds.
template <class Condition>
bool wait_until(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + test::kPatience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

TEST_CASE("an idle session sleeps, and a message wakes it where its log ended") {
  const TempDir directory;
  auto options = quick();
  options.sessions.idle_timeout = 10ms;
  Node node(directory.path(), options);
  const double slept = counter("parlance_session_sleeps_total");
  node.submit("s", "a", "my cat is called Tom");
  REQUIRE(node.sink.wait_for_ends("s", 1));
  REQUIRE(wait_until([&] { return counter("parlance_session_sleeps_total") > slept; }));

  CHECK(node.submit("s", "b", "how is my cat called?").get()->cursor.seq == 4);
  REQUIRE(node.sink.wait_for_ends("s", 2));
  const auto log = log_of(node, "s");
  require_sound(log, 2);
  // It remembers what was said before it slept.
  CHECK(std::get<StepRecorded>(log[4].event).text.find("Tom") != std::string::npos);
}

TEST_CASE("a session with a run in progress does not sleep") {
  const TempDir directory;
  auto options = quick(kSlow);
  options.sessions.idle_timeout = 10ms;
  Node node(directory.path(), options);
  node.submit("s", "m", "hello");
  REQUIRE(node.sink.wait_for_ends("s", 1));
  CHECK(told(node.sink.recorded("s")).back() == "completed m");
}

TEST_CASE("too many sessions awake are refused with the limit's name") {
  const TempDir directory;
  auto options = quick();
  options.sessions.cores = 1;  // The count is of the node; two cores may pass it together.
  options.sessions.sessions_awake_max = 3;
  Node node(directory.path(), options);
  std::vector<test::Waiting<std::string>> replies;
  replies.reserve(8);
  for (int i = 0; i < 8; ++i) replies.push_back(node.ping("s" + std::to_string(i), "x"));
  const auto refused = std::count_if(replies.begin(), replies.end(), [](const auto& reply) {
    return reply.get().find("sessions_awake_max") != std::string::npos;
  });
  CHECK(refused == 5);
}

TEST_CASE("where too many sessions were awake, another is taken once some sleep") {
  const TempDir directory;
  auto options = quick();
  options.sessions.sessions_awake_max = 2;
  options.sessions.idle_timeout = 10ms;
  Node node(directory.path(), options);
  node.ping("a", "x");
  node.ping("b", "x");
  CHECK(wait_until([&] { return node.ping("another", "x").get() == "x"; }));
}

// ---- After a crash ----

TEST_CASE("a run that a crash ended is answered after the restart, once") {
  const TempDir directory;
  {
    Node before(directory.path(), quick(kSlow));
    before.submit("s", "m", "hello");
    REQUIRE(before.sink.wait_for_deltas("s", 3));
  }
  Node node(directory.path());
  const auto found = node.tree().recover();
  REQUIRE(found.has_value());
  CHECK(*found == 1);
  REQUIRE(node.sink.wait_for_ends("s", 1));
  CHECK(told(log_of(node, "s")) == Told{"accepted m", "FinalAnswerStep m", "completed m"});
}

TEST_CASE("text that a crash made void is declared so before the new one") {
  const TempDir directory;
  {
    auto options = quick(kSlow);
    options.sessions.partial_bytes = 8;
    Node before(directory.path(), options);
    before.submit("s", "m", "hello");
    REQUIRE(before.sink.wait_for_deltas("s", 12));
  }
  Node node(directory.path());
  REQUIRE(node.tree().recover().has_value());
  REQUIRE(node.sink.wait_for_ends("s", 1));
  const auto passing = node.sink.passing("s");
  REQUIRE_FALSE(passing.empty());
  CHECK(std::holds_alternative<TextReset>(passing.front()));
}

TEST_CASE("messages that waited at a crash are answered after the restart, in order") {
  const TempDir directory;
  {
    Node before(directory.path(), quick(kSlow));
    for (const char* id : {"a", "b", "c"}) before.submit("s", id, "hello");
    REQUIRE(before.submit("s", "d", "hello").get().has_value());
    REQUIRE(before.sink.wait_for_deltas("s", 1));
  }
  Node node(directory.path());
  REQUIRE(node.tree().recover().has_value());
  REQUIRE(node.sink.wait_for_ends("s", 4));
  const auto log = log_of(node, "s");
  require_sound(log, 4);
  CHECK(told(log).back() == "completed d");
}

/// What a server that died left of the session "s": no run has a step or text.
void leave_log(const std::string& directory, const std::vector<Event>& events,
               std::optional<EventSeq> unfinished = {}) {
  storage::Options options;
  options.directory = directory;
  const auto store = storage::Store::open(options);
  REQUIRE(store.has_value());
  std::vector<storage::AppendRequest> group(1);
  group[0].session = {"s"};
  group[0].unfinished = unfinished;
  for (const Event& event : events) {
    const auto* const message = std::get_if<MessageAccepted>(&event);
    const std::string id = message == nullptr ? "" : message->message_id.text;
    group[0].records.push_back({encode(event, {1}), id, {}});
  }
  REQUIRE((*store)->append(group).has_value());
}

MessageAccepted accepted(const char* id, OnBusy on_busy = OnBusy::queue) {
  return {.message_id = {id}, .text = "hello", .on_busy = on_busy};
}

TEST_CASE("a run that left no trace is cancelled by what came to interrupt it before a crash") {
  const TempDir directory;
  leave_log(directory.path(), {accepted("a"), accepted("q"), accepted("b", OnBusy::interrupt)});
  Node node(directory.path());
  REQUIRE(node.tree().recover().has_value());
  REQUIRE(node.sink.wait_for_ends("s", 3));
  CHECK(told(node.sink.recorded("s")) == Told{"cancelled a", "FinalAnswerStep b", "completed b",
                                              "FinalAnswerStep q", "completed q"});
}

TEST_CASE("what came to interrupt a run that has ended cancels no other after a crash") {
  const TempDir directory;
  leave_log(directory.path(),
            {accepted("a"), accepted("q"), accepted("b", OnBusy::interrupt),
             RunEnded{{"a"}, RunOutcome::cancelled, {}}},
            2);
  Node node(directory.path());
  REQUIRE(node.tree().recover().has_value());
  REQUIRE(node.sink.wait_for_ends("s", 2));
  CHECK(told(node.sink.recorded("s")) ==
        Told{"FinalAnswerStep b", "completed b", "FinalAnswerStep q", "completed q"});
}

TEST_CASE("what interrupted a run and was itself interrupted before a crash is cancelled") {
  const TempDir directory;
  leave_log(directory.path(),
            {accepted("a"), accepted("q"), accepted("b", OnBusy::interrupt),
             RunEnded{{"a"}, RunOutcome::cancelled, {}}, accepted("c", OnBusy::interrupt)},
            2);
  Node node(directory.path());
  REQUIRE(node.tree().recover().has_value());
  REQUIRE(node.sink.wait_for_ends("s", 3));
  CHECK(told(node.sink.recorded("s")) == Told{"cancelled b", "FinalAnswerStep c", "completed c",
                                              "FinalAnswerStep q", "completed q"});
}

TEST_CASE("without a call to recover, a message to the session goes on with what was left") {
  const TempDir directory;
  {
    Node before(directory.path(), quick(kSlow));
    before.submit("s", "a", "hello");
    REQUIRE(before.sink.wait_for_deltas("s", 1));
  }
  Node node(directory.path());
  node.submit("s", "b", "hello");
  REQUIRE(node.sink.wait_for_ends("s", 2));
  require_sound(log_of(node, "s"), 2);
}

TEST_CASE("a message that was accepted before a crash is known after it") {
  const TempDir directory;
  {
    Node before(directory.path(), quick(kSlow));
    REQUIRE(before.submit("s", "m", "hello").get().has_value());
  }
  Node node(directory.path());
  CHECK(node.submit("s", "m", "hello").get()->duplicate);
  REQUIRE(node.sink.wait_for_ends("s", 1));
  require_sound(log_of(node, "s"), 1);
}

TEST_CASE("nothing is left to recover after a clean end") {
  const TempDir directory;
  {
    Node before(directory.path());
    before.submit("s", "m", "hello");
    REQUIRE(before.sink.wait_for_ends("s", 1));
  }
  Node node(directory.path());
  const auto found = node.tree().recover();
  REQUIRE(found.has_value());
  CHECK(*found == 0);
}

TEST_CASE("crashes at random moments lose no message and repeat no step") {
  test::Seeded random("crashes at random moments");
  constexpr std::string_view kTexts[] = {"hello", "calculate 2 + 3", "search for cats",
                                         "what time is it"};
  const TempDir directory;
  std::set<std::string> accepted;
  constexpr int kRounds = 12;
  for (int round = 0; round < kRounds; ++round) {
    INFO("seed " << random.seed() << " round " << round);
    auto options = quick(1ms);
    options.sessions.partial_bytes = 32;
    Node node(directory.path(), options);
    REQUIRE(node.tree().recover().has_value());
    const std::string id = "m" + std::to_string(round);
    const auto on_busy = static_cast<OnBusy>(random.below(4));
    const auto reply = node.submit("s", id, std::string(random.one_of(kTexts)), on_busy);
    if (random.one_in(3)) node.cancel("s");
    // A moment is a number of things told.
    const std::size_t moment = random.below(60);
    REQUIRE(node.sink.wait("s", [&](const auto& recorded, const auto& passing) {
      const bool quiet = reply.came() && !recorded.empty() && is_terminal(recorded.back().event);
      return recorded.size() + passing.size() >= moment || quiet;
    }));
    if (reply.came() && reply.get().has_value()) accepted.insert(id);
  }
  Node node(directory.path());
  REQUIRE(node.tree().recover().has_value());
  INFO("seed " << random.seed());
  REQUIRE(wait_until([&] { return node.store().unfinished_sessions()->empty(); }));
  const auto log = log_of(node, "s");
  std::set<std::string> known;
  for (const RecordedEvent& event : log) known.insert(message_of(event.event).text);
  require_sound(log, known.size());
  CHECK(std::includes(known.begin(), known.end(), accepted.begin(), accepted.end()));
}

// ---- A disk that fails ----

/// While it lives no file can grow: what a full disk does to the store.
class FullDisk {
 public:
  FullDisk() : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit none{1, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &none);
  }
  ~FullDisk() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  FullDisk(const FullDisk&) = delete;
  FullDisk& operator=(const FullDisk&) = delete;

 private:
  rlimit before_{};
  void (*handler_)(int);
};

/// Leaves session "s" of `node` in the middle of the run of "m", on a store that refuses writes.
void fail_the_disk(Node& node) {
  node.submit("s", "m", "hello");
  REQUIRE(node.sink.wait_for_deltas("s", 1));
  const FullDisk full;
  const auto refused = node.submit("s", "lost", "hello").get();
  REQUIRE_FALSE(refused.has_value());
  REQUIRE(refused.error().code == Errc::unavailable);
}

TEST_CASE("a run whose session cannot be written is told to be stalled") {
  const TempDir directory;
  Node node(directory.path(), quick(kSlow));
  fail_the_disk(node);
  CHECK(node.sink.wait("s", [](const auto&, const auto& passing) {
    return !passing.empty() && std::holds_alternative<RunStalled>(passing.back());
  }));
}

TEST_CASE("on a store that refuses writes every message is refused and reads go on") {
  const TempDir directory;
  Node node(directory.path(), quick(kSlow));
  fail_the_disk(node);
  CHECK(node.submit("s", "later", "hello").get().error().code == Errc::unavailable);
  CHECK(node.submit("other", "m", "hello").get().error().code == Errc::unavailable);
  CHECK(told(log_of(node, "s")) == Told{"accepted m"});
}

TEST_CASE("a session that a failing disk stalled refuses after it has slept, too") {
  const TempDir directory;
  auto options = quick(kSlow);
  options.sessions.idle_timeout = 10ms;
  Node node(directory.path(), options);
  fail_the_disk(node);
  const double slept = counter("parlance_session_sleeps_total");
  REQUIRE(wait_until([&] { return counter("parlance_session_sleeps_total") > slept; }));
  CHECK(node.submit("s", "later", "hello").get().error().code == Errc::unavailable);
  CHECK(node.cancel("s").get().error().code == Errc::unavailable);
}

TEST_CASE("a node whose store refuses writes is not ready") {
  const TempDir directory;
  Node node(directory.path(), quick(kSlow));
  REQUIRE(node.tree().recover().has_value());
  fail_the_disk(node);
  const test::Waiting<bool> ready;
  node.on_core(0, [ready](SessionGateway& gateway) { ready.set(gateway.ready()); });
  CHECK_FALSE(ready.get());
}

TEST_CASE("a run that a failing disk stalled goes on after a restart") {
  const TempDir directory;
  {
    Node node(directory.path(), quick(kSlow));
    fail_the_disk(node);
  }
  Node node(directory.path());
  REQUIRE(node.tree().recover().has_value());
  REQUIRE(node.sink.wait_for_ends("s", 1));
  CHECK(told(log_of(node, "s")) == Told{"accepted m", "FinalAnswerStep m", "completed m"});
}

TEST_CASE("a temporary session that nobody can come into any more is closed") {
  const TempDir directory;
  TreeOptions options = quick();
  options.sessions.temporary_lifetime = 0ms;
  options.sessions.expiry_interval = 10ms;
  Node node(directory.path(), options);
  test::Waiting<Result<Authorized>> made;
  node.on_core(0, [made](SessionGateway& gateway) {
    gateway.create_client(Scope::temporary, [made](auto client) { made.set(std::move(client)); });
  });
  const std::string session = made.get().value().client.text;
  REQUIRE(node.tree().recover().has_value());
  CHECK(node.sink.wait(session, [](const auto& recorded, const auto&) {
    const auto* last =
        recorded.empty() ? nullptr : std::get_if<LifecycleChanged>(&recorded.back().event);
    return last != nullptr && last->state == LifecycleState::deactivated;
  }));
}

}  // namespace
}  // namespace parlance::actors
