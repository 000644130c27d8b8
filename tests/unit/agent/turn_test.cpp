#include "agent/turn.h"

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/unit/agent/test_tools.h"

namespace parlance::agent {
namespace {

const ToolCall kEcho{"c1", "echo", R"({"text":"hi"})"};
const ToolCall kSend{"c2", "send", R"({"text":"hi"})"};
const ToolCall kBadArguments{"c3", "echo", R"({"text":1})"};
const ToolCall kUnknown{"c4", "teleport", "{}"};

/// The only effect of kind `T`; nothing when there is none or more than one.
template <class T>
T* only(Effects& effects) {
  T* found = nullptr;
  for (Effect& effect : effects) {
    if (auto* match = std::get_if<T>(&effect)) {
      if (found != nullptr) return nullptr;
      found = match;
    }
  }
  return found;
}

template <class T>
bool has(const Effects& effects) {
  for (const Effect& effect : effects) {
    if (std::holds_alternative<T>(effect)) return true;
  }
  return false;
}

/// A turn on the message "m" with the text "question".
struct Fixture {
  Options options;
  Toolbox toolbox = test::echo_toolbox();
  std::unique_ptr<Turn> turn;
  Effects last;

  explicit Fixture(Options given = {}) : options(std::move(given)) {}

  Effects& begin(Turn::Start start = {{"m"}, "question", {}, {}, {}}) {
    turn = std::make_unique<Turn>(std::move(start), options, toolbox);
    return last = turn->begin();
  }
  Effects& step(Input input) { return last = turn->step(std::move(input)); }
  Effects& text(const std::string& text) { return step(TextArrived{text}); }
  Effects& answer(const std::string& text, ModelUsage usage = {}) {
    return step(AnswerArrived{{text, {}, usage, "stop"}});
  }
  Effects& plan(std::vector<ToolCall> calls, const std::string& text = {}) {
    return step(AnswerArrived{{text, std::move(calls), {}, "tool_calls"}});
  }
  /// Through a whole planning and action step with one call.
  Effects& use_tool() {
    plan({kEcho});
    step(StepDurable{});
    return end_tools({{"c1", "echo", "out", false}});
  }
  /// The tools end and their action step becomes durable; the effects of both.
  Effects& end_tools(std::vector<ToolResult> results) {
    step(ToolsEnded{std::move(results)});
    return settle();
  }
  /// The step just recorded becomes durable; its effects join the last ones.
  Effects& settle() {
    for (Effect& effect : turn->step(StepDurable{})) last.push_back(std::move(effect));
    return last;
  }

  const ModelRequest& request() {
    auto* call = only<CallModel>(last);
    REQUIRE(call != nullptr);
    return *call->request;
  }
  std::vector<Event>& recorded() {
    auto* record = only<Record>(last);
    REQUIRE(record != nullptr);
    return record->events;
  }
  template <class T>
  T recorded(std::size_t index) {
    auto& events = recorded();
    REQUIRE(index < events.size());
    REQUIRE(std::holds_alternative<T>(events[index]));
    return std::get<T>(events[index]);
  }
};

// ---- Calling ----

TEST_CASE("a turn begins with a model call of instructions, history and message") {
  Fixture f({.instructions = "Be kind."});
  f.begin({{"m"}, "question", {{Role::user, "before", {}, ""}}, {}, {}});
  const auto& messages = f.request().messages;
  REQUIRE(messages.size() == 3);
  CHECK(messages[0].role == Role::system);
  CHECK(messages[0].text == "Be kind.");
  CHECK(messages[1].text == "before");
  CHECK(messages[2].role == Role::user);
  CHECK(messages[2].text == "question");
}

TEST_CASE("a model is told of the tools") {
  Fixture f;
  f.begin();
  REQUIRE(f.request().tools != nullptr);
  CHECK(f.request().tools->size() == 2);
}

TEST_CASE("a model is told of no tools where they are switched off") {
  Fixture f({.tools = false});
  f.begin();
  CHECK(f.request().tools == nullptr);
}

TEST_CASE("text is shown as it arrives") {
  Fixture f;
  f.begin();
  f.text("Hel");
  const auto* show = only<Show>(f.text("lo"));
  REQUIRE(show != nullptr);
  CHECK(std::get<TextDelta>(show->event).text == "lo");
  CHECK(f.turn->text() == "Hello");
}

TEST_CASE("an answer without tool calls ends the run with its text") {
  Fixture f;
  f.begin();
  f.answer("Hello");
  CHECK(f.turn->ended());
  REQUIRE(f.recorded().size() == 2);
  CHECK(f.recorded<StepRecorded>(0).type == StepType::final_answer);
  CHECK(f.recorded<StepRecorded>(0).text == "Hello");
  CHECK(f.recorded<RunEnded>(1).outcome == RunOutcome::completed);
}

TEST_CASE("the usage of a run is that of all its calls") {
  Fixture f;
  f.begin();
  f.step(AnswerArrived{{"", {kEcho}, {10, 5}, ""}});
  f.step(StepDurable{});
  f.end_tools({{"c1", "echo", "out", false}});
  f.answer("done", {20, 7});
  CHECK(f.recorded<RunEnded>(1).usage == ModelUsage{30, 12});
}

TEST_CASE("usage that no provider reported is estimated") {
  Fixture f;
  f.begin();
  f.answer(std::string(400, 'x'));
  CHECK(f.recorded<RunEnded>(1).usage.tokens_out == 101);
}

TEST_CASE("an empty answer fails the run") {
  Fixture f;
  f.begin();
  f.answer("");
  CHECK(f.recorded<RunFailed>(0).code == Errc::unavailable);
  CHECK(f.turn->ended());
}

TEST_CASE("a failed call fails the run with its words") {
  Fixture f;
  f.begin();
  f.step(CallFailed{Errc::permission_denied, "the key was refused", false});
  REQUIRE(f.recorded().size() == 1);
  CHECK(f.recorded<RunFailed>(0).error == "the key was refused");
  CHECK(f.recorded<RunFailed>(0).code == Errc::permission_denied);
}

TEST_CASE("a retryable failure before any text is final: the proxy has tried") {
  Fixture f;
  f.begin();
  f.step(CallFailed{Errc::unavailable, "refused", true});
  CHECK(f.turn->ended());
}

TEST_CASE("a call that is cut in mid-answer begins anew and voids its text") {
  Fixture f;
  f.begin();
  f.text("half");
  f.step(CallFailed{Errc::unavailable, "cut", true});
  REQUIRE(only<Show>(f.last) != nullptr);
  CHECK(std::holds_alternative<TextReset>(only<Show>(f.last)->event));
  CHECK(has<CallModel>(f.last));
  CHECK(f.turn->text().empty());
}

TEST_CASE("a call that is cut too often fails the run and keeps its text") {
  Fixture f({.restarts_max = 1});
  f.begin();
  f.text("half");
  f.step(CallFailed{Errc::unavailable, "cut", true});
  f.text("again half");
  f.step(CallFailed{Errc::unavailable, "cut", true});
  REQUIRE(f.recorded().size() == 2);
  CHECK(f.recorded<StepRecorded>(0).type == StepType::partial_answer);
  CHECK(f.recorded<StepRecorded>(0).text == "again half");
  CHECK(std::holds_alternative<RunFailed>(f.recorded()[1]));
}

TEST_CASE("a cut that no retry can mend fails the run and keeps its text") {
  Fixture f;
  f.begin();
  f.text("half");
  f.step(CallFailed{Errc::resource_exhausted, "too long", false});
  CHECK(f.recorded<StepRecorded>(0).text == "half");
  CHECK(f.turn->ended());
}

// ---- Planning and acting ----

TEST_CASE("tool calls are recorded as a plan before anything runs") {
  Fixture f;
  f.begin();
  f.plan({kEcho}, "Let me see.");
  CHECK_FALSE(has<RunTools>(f.last));
  REQUIRE(only<Record>(f.last) != nullptr);
  CHECK(only<Record>(f.last)->step);
  const auto step = f.recorded<StepRecorded>(0);
  CHECK(step.type == StepType::planning);
  CHECK(step.tool_calls == std::vector<ToolCall>{kEcho});
  CHECK(step.text == "Let me see.\nCalling echo with {\"text\":\"hi\"}");
}

TEST_CASE("the tools of a durable plan run") {
  Fixture f;
  f.begin();
  f.plan({kEcho, kSend});
  f.step(StepDurable{});
  REQUIRE(only<RunTools>(f.last) != nullptr);
  CHECK(only<RunTools>(f.last)->calls == std::vector<ToolCall>{kEcho, kSend});
  CHECK(only<RunTools>(f.last)->step == 1);
}

TEST_CASE("a call that fails its check does not run, the others do") {
  Fixture f;
  f.begin();
  f.plan({kBadArguments, kEcho, kUnknown});
  f.step(StepDurable{});
  REQUIRE(only<RunTools>(f.last) != nullptr);
  CHECK(only<RunTools>(f.last)->calls == std::vector<ToolCall>{kEcho});
}

TEST_CASE("a plan of which no call passes its check goes back to the model") {
  Fixture f;
  f.begin();
  f.plan({kBadArguments, kUnknown});
  f.step(StepDurable{});
  f.settle();
  CHECK_FALSE(has<RunTools>(f.last));
  CHECK(has<CallModel>(f.last));
  const auto step = f.recorded<StepRecorded>(0);
  REQUIRE(step.tool_results.size() == 2);
  CHECK(step.tool_results[0].failed);
  CHECK(step.tool_results[1].output.find("echo, send") != std::string::npos);
}

TEST_CASE("results are recorded as an action and told to the model") {
  Fixture f;
  f.begin();
  f.use_tool();
  const auto step = f.recorded<StepRecorded>(0);
  CHECK(step.type == StepType::action);
  CHECK(step.text == "echo: out");
  CHECK(step.tool_results == std::vector<ToolResult>{{"c1", "echo", "out", false}});
  const auto& messages = f.request().messages;
  REQUIRE(messages.size() == 4);
  CHECK(messages[2].tool_calls == std::vector<ToolCall>{kEcho});
  CHECK(messages[3].role == Role::tool);
  CHECK(messages[3].text == "out");
  CHECK(messages[3].tool_call_id == "c1");
}

TEST_CASE("the model is not called before the action is durable") {
  Fixture f;
  f.begin();
  f.plan({kEcho});
  f.step(StepDurable{});
  f.step(ToolsEnded{{{"c1", "echo", "out", false}}});
  CHECK_FALSE(has<CallModel>(f.last));
}

TEST_CASE("a failed result says so in the action's text") {
  Fixture f;
  f.begin();
  f.plan({kEcho});
  f.step(StepDurable{});
  f.end_tools({{"c1", "echo", "no luck", true}});
  CHECK(f.recorded<StepRecorded>(0).text == "echo failed: no luck");
}

TEST_CASE("the second plan of a run is its step 2") {
  Fixture f;
  f.begin();
  f.use_tool();
  f.plan({kEcho});
  f.step(StepDurable{});
  REQUIRE(only<RunTools>(f.last) != nullptr);
  CHECK(only<RunTools>(f.last)->step == 2);
}

// ---- Limits ----

TEST_CASE("a run that reaches its steps fails and keeps what was done") {
  Fixture f({.steps_max = 1});
  f.begin();
  f.use_tool();
  CHECK_FALSE(has<CallModel>(f.last));
  CHECK(f.turn->ended());
  REQUIRE(f.last.size() == 2);
  const auto& failed = std::get<RunFailed>(std::get<Record>(f.last[1]).events.at(0));
  CHECK(failed.code == Errc::resource_exhausted);
  CHECK(failed.error == "the run reached its limit of 1 steps");
}

TEST_CASE("a run that reaches its tokens fails") {
  Fixture f({.tokens_max = 100});
  f.begin();
  f.step(AnswerArrived{{"", {kEcho}, {60, 40}, ""}});
  f.step(StepDurable{});
  f.end_tools({{"c1", "echo", "out", false}});
  CHECK(f.turn->ended());
}

TEST_CASE("a run within its tokens goes on") {
  Fixture f({.tokens_max = 101});
  f.begin();
  f.step(AnswerArrived{{"", {kEcho}, {60, 40}, ""}});
  f.step(StepDurable{});
  f.end_tools({{"c1", "echo", "out", false}});
  CHECK(has<CallModel>(f.last));
}

TEST_CASE("a run that takes too long fails and says how long it had") {
  Fixture f({.run_timeout = std::chrono::seconds(90)});
  f.begin();
  f.text("half");
  f.step(TimeUp{});
  CHECK(has<AbandonCall>(f.last));
  CHECK(f.recorded<StepRecorded>(0).text == "half");
  CHECK(f.recorded<RunFailed>(1).code == Errc::deadline_exceeded);
  CHECK(f.recorded<RunFailed>(1).error == "the run took longer than 90 s");
}

// ---- Cancelling ----

TEST_CASE("a cancel while the model writes ends the call and keeps its text") {
  Fixture f;
  f.begin();
  f.text("half");
  f.step(CancelAsked{});
  CHECK(has<AbandonCall>(f.last));
  CHECK(f.recorded<StepRecorded>(0).type == StepType::partial_answer);
  CHECK(f.recorded<RunEnded>(1).outcome == RunOutcome::cancelled);
}

TEST_CASE("a cancel before any text records the end alone") {
  Fixture f;
  f.begin();
  f.step(CancelAsked{});
  REQUIRE(f.recorded().size() == 1);
  CHECK(f.recorded<RunEnded>(0).outcome == RunOutcome::cancelled);
}

TEST_CASE("a cancel before the plan is durable runs no tool") {
  Fixture f;
  f.begin();
  f.plan({kEcho});
  f.step(CancelAsked{});
  CHECK_FALSE(has<AbandonTools>(f.last));
  CHECK(f.step(StepDurable{}).empty());
}

TEST_CASE("a cancel while tools run abandons them") {
  Fixture f;
  f.begin();
  f.plan({kEcho});
  f.step(StepDurable{});
  f.step(CancelAsked{});
  CHECK(has<AbandonTools>(f.last));
  CHECK(f.turn->ended());
}

TEST_CASE("whatever comes after the end has no effect") {
  Fixture f;
  f.begin();
  f.answer("done");
  CHECK(f.text("more").empty());
  CHECK(f.answer("again").empty());
  CHECK(f.step(CancelAsked{}).empty());
  CHECK(f.step(TimeUp{}).empty());
  CHECK(f.step(CallFailed{}).empty());
  CHECK(f.step(ToolsEnded{}).empty());
}

// ---- Steering ----

TEST_CASE("a steered message is heard at the next model call and ends with the run") {
  Fixture f;
  f.begin();
  f.plan({kEcho});
  CHECK(f.step(SteerArrived{{"s"}, "in French"}).empty());
  f.step(StepDurable{});
  f.end_tools({{"c1", "echo", "out", false}});
  CHECK(f.request().messages.back().text == "in French");
  f.answer("oui", {3, 4});
  REQUIRE(f.recorded().size() == 3);
  CHECK(f.recorded<RunEnded>(1).message_id.text == "m");
  CHECK(f.recorded<RunEnded>(2).message_id.text == "s");
  // Counted once, with the message that began the run.
  CHECK(f.recorded<RunEnded>(2).usage == ModelUsage{});
  CHECK(f.turn->take_unheard().empty());
}

TEST_CASE("a steered message that the run did not come to hear is given back") {
  Fixture f;
  f.begin();
  f.step(SteerArrived{{"s"}, "too late"});
  f.answer("done");
  REQUIRE(f.recorded().size() == 2);
  const auto unheard = f.turn->take_unheard();
  REQUIRE(unheard.size() == 1);
  CHECK(unheard[0].message_id.text == "s");
  CHECK(unheard[0].text == "too late");
}

TEST_CASE("a cancel ends the heard messages and gives back the others") {
  Fixture f;
  f.begin();
  f.plan({kEcho});
  f.step(SteerArrived{{"heard"}, "a"});
  f.step(StepDurable{});
  f.end_tools({{"c1", "echo", "out", false}});
  f.step(SteerArrived{{"unheard"}, "b"});
  f.step(CancelAsked{});
  REQUIRE(f.recorded().size() == 2);
  CHECK(f.recorded<RunEnded>(1).message_id.text == "heard");
  CHECK(f.turn->take_unheard().size() == 1);
}

// ---- After a crash ----

StepRecorded planned(std::vector<ToolCall> calls) {
  return {{"m"}, StepType::planning, "plan", std::move(calls), {}};
}
StepRecorded acted(std::vector<ToolResult> results) {
  return {{"m"}, StepType::action, "action", {}, std::move(results)};
}

TEST_CASE("a turn whose plan was recorded runs its tools again without a new plan") {
  Fixture f;
  f.begin({{"m"}, "question", {}, {planned({kEcho})}, {}});
  CHECK_FALSE(has<Record>(f.last));
  REQUIRE(only<RunTools>(f.last) != nullptr);
  CHECK(only<RunTools>(f.last)->calls == std::vector<ToolCall>{kEcho});
  CHECK(only<RunTools>(f.last)->step == 1);
}

TEST_CASE("a tool that must not be repeated is reported as interrupted") {
  Fixture f;
  f.begin({{"m"}, "question", {}, {planned({kSend})}, {}});
  CHECK_FALSE(has<RunTools>(f.last));
  const auto step = f.recorded<StepRecorded>(0);
  REQUIRE(step.tool_results.size() == 1);
  CHECK(step.tool_results[0].failed);
  CHECK(step.tool_results[0].call_id == "c2");
}

TEST_CASE("after the report of an interrupted tool is durable the run goes on with the model") {
  Fixture f;
  f.begin({{"m"}, "question", {}, {planned({kSend})}, {}});
  f.step(StepDurable{});
  CHECK(has<CallModel>(f.last));
}

TEST_CASE("a call that never passed its check is refused again after a crash") {
  Fixture f;
  f.begin({{"m"}, "question", {}, {planned({kUnknown})}, {}});
  CHECK_FALSE(has<RunTools>(f.last));
  CHECK(f.recorded<StepRecorded>(0).tool_results.at(0).failed);
}

TEST_CASE("a turn whose action was recorded goes on with the model") {
  Fixture f;
  f.begin({{"m"}, "question", {}, {planned({kEcho}), acted({{"c1", "echo", "out", false}})}, {}});
  CHECK_FALSE(has<Record>(f.last));
  const auto& messages = f.request().messages;
  CHECK(messages.back().role == Role::tool);
  CHECK(messages.back().text == "out");
}

TEST_CASE("the steps of before a crash count against the limit") {
  Fixture f({.steps_max = 1});
  f.begin({{"m"}, "question", {}, {planned({kEcho}), acted({{"c1", "echo", "out", false}})}, {}});
  CHECK(f.turn->ended());
  CHECK(f.recorded<RunFailed>(0).code == Errc::resource_exhausted);
}

TEST_CASE("text that was shown before a crash is declared void first") {
  Fixture f;
  f.begin({{"m"}, "question", {}, {}, "half an"});
  REQUIRE(f.last.size() == 2);
  CHECK(std::holds_alternative<TextReset>(std::get<Show>(f.last[0]).event));
  CHECK(std::holds_alternative<CallModel>(f.last[1]));
}

TEST_CASE("text that was shown before a crash is kept by a cancel until the model writes again") {
  Fixture f;
  f.begin({{"m"}, "question", {}, {}, "half an"});
  f.step(CancelAsked{});
  CHECK(f.recorded<StepRecorded>(0).text == "half an");
}

TEST_CASE("new text takes the place of what was shown before a crash") {
  Fixture f;
  f.begin({{"m"}, "question", {}, {}, "half an"});
  f.text("new");
  f.step(CancelAsked{});
  CHECK(f.recorded<StepRecorded>(0).text == "new");
}

// ---- What is remembered ----

TEST_CASE("a run adds its message, steps and answer to the conversation") {
  Fixture f;
  f.begin({{"m"}, "question", {{Role::user, "before", {}, ""}}, {}, {}});
  f.use_tool();
  f.answer("done");
  const auto exchange = f.turn->exchange();
  REQUIRE(exchange.size() == 4);
  CHECK(exchange[0].text == "question");
  CHECK(exchange[3].text == "done");
}

TEST_CASE("a cancelled answer is remembered as far as it came") {
  Fixture f;
  f.begin();
  f.text("half");
  f.step(CancelAsked{});
  REQUIRE(f.turn->exchange().size() == 2);
  CHECK(f.turn->exchange()[1].text == "half");
}

}  // namespace
}  // namespace parlance::agent
