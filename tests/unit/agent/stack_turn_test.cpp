// The turn of a session with a stack: which tool answers, and from what.
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <catch2/catch.hpp>

#include "agent/turn.h"
#include "tests/unit/agent/test_tools.h"

namespace parlance::agent {
namespace {

template <class T>
T* first(Effects& effects) {
  for (Effect& effect : effects) {
    if (auto* match = std::get_if<T>(&effect)) return match;
  }
  return nullptr;
}

Stack two_tools(bool by_model) {
  Stack stack;
  stack.decides_by_model = by_model;
  stack.decision_provider = "stack/decision_maker";
  stack.tools[0].provider = "stack/general_queries";
  stack.tools[1].provider = "stack/document_tool";
  return stack;
}

PassagesFound found(bool relevant) {
  FoundPassage one;
  one.passage = {{1, 7}, "d1", "report.txt", "{}", 10, 90, "The tower is 300 m high."};
  one.score = 0.03;
  one.distance = 0.25;
  one.relevance = relevant ? 0.8 : 0.1;
  return {{one}, "offline feature hashing", relevant};
}

struct Fixture {
  explicit Fixture(Stack given) : stack(std::move(given)) {}

  Effects& begin(std::vector<StepRecorded> steps = {}) {
    turn = std::make_unique<Turn>(
        Turn::Start{{"m"}, "how high is the tower?", {}, std::move(steps), {}, &stack}, options,
        toolbox);
    return last = turn->begin();
  }
  Effects& step(Input input) { return last = turn->step(std::move(input)); }
  Effects& decide(const std::string& text) { return step(AnswerArrived{{text, {}, {}, "stop"}}); }
  const ModelRequest& request() {
    auto* call = first<CallModel>(last);
    REQUIRE(call != nullptr);
    return *call->request;
  }
  const StepRecorded& recorded(std::size_t index) {
    auto* record = first<Record>(last);
    REQUIRE(record != nullptr);
    REQUIRE(record->events.size() > index);
    return std::get<StepRecorded>(record->events[index]);
  }

  Stack stack;
  Options options;
  Toolbox toolbox = test::echo_toolbox();
  std::unique_ptr<Turn> turn;
  Effects last;
};

TEST_CASE("the decision maker is asked by its own provider, and is told of every tool") {
  Fixture f(two_tools(true));
  f.begin();
  CHECK(f.request().provider == "stack/decision_maker");
  CHECK(f.request().messages.front().text.find("document_tool") != std::string::npos);
  CHECK(f.request().messages.back().text == "how high is the tower?");
}

TEST_CASE("what the decision maker writes is shown to nobody") {
  Fixture f(two_tools(true));
  f.begin();
  CHECK(f.step(TextArrived{"{\"tool\""}).empty());
}

TEST_CASE("a prompt tool answers with its own model, and without tools or passages") {
  Fixture f(two_tools(true));
  f.begin();
  f.decide(R"({"tool": "general_queries"})");
  CHECK(f.recorded(0).tool_calls[0].name == "general_queries");
  f.step(StepDurable{});
  CHECK(f.request().provider == "stack/general_queries");
  CHECK(f.request().tools == nullptr);
  CHECK(f.request().passages.empty());
}

TEST_CASE("a rag tool is searched for, and its model is given what was found") {
  Fixture f(two_tools(true));
  f.begin();
  f.decide(" {\"tool\": \"document_tool\"}\n");
  REQUIRE(first<Retrieve>(f.last) != nullptr);
  CHECK(first<Retrieve>(f.last)->tool == 1);
  f.step(found(true));
  CHECK(
      f.recorded(1).tool_results[0].output ==
      R"({"passages":[{"id":"1-7","document_id":"d1","name":"report.txt","begin":10,"end":90,)"
      R"("score":0.03,"distance":0.25,"relevance":0.8}],"embeddings":"offline feature hashing"})");
  f.step(StepDurable{});
  CHECK(f.request().provider == "stack/document_tool");
  REQUIRE(f.request().passages.size() == 1);
  CHECK(f.request().passages[0].text == "The tower is 300 m high.");
}

TEST_CASE("a decision that is none is repaired once") {
  Fixture f(two_tools(true));
  f.begin();
  f.decide("I would take the document_tool.");
  CHECK(f.request().messages.size() == 4);
  f.decide(R"({"tool": "document_tool"})");
  CHECK(first<Retrieve>(f.last) != nullptr);
}

TEST_CASE(
    "after two decisions that are none the first prompt tool answers, and the trace says so") {
  Fixture f(two_tools(true));
  f.begin();
  const std::string none =
      GENERATE("", "[]", R"({"tool": "none"})", R"({"tool": 1})",
               R"(```json {"tool": "document_tool"} ```)", R"({"tool": "document_tool"} yes)");
  f.decide(none);
  f.decide(none);
  CHECK(f.recorded(0).tool_calls[0].name == "general_queries");
  CHECK(f.recorded(0).text.find("named no tool, twice") != std::string::npos);
}

TEST_CASE("with one tool nobody is asked") {
  Stack stack = two_tools(true);
  stack.tools.pop_back();
  Fixture f(stack);
  f.begin();
  CHECK(first<CallModel>(f.last) == nullptr);
  CHECK(f.recorded(0).tool_calls[0].name == "general_queries");
}

TEST_CASE("without a decision maker what was found decides") {
  Fixture f(two_tools(false));
  f.begin();
  REQUIRE(first<Retrieve>(f.last) != nullptr);
  const bool relevant = GENERATE(true, false);
  f.step(found(relevant));
  CHECK(f.recorded(0).tool_calls[0].name == (relevant ? "document_tool" : "general_queries"));
  f.step(StepDurable{});
  CHECK(f.request().passages.size() == (relevant ? 1U : 0U));
}

TEST_CASE("a run that a crash ended goes on with the tool that was picked, and records it once") {
  Fixture f(two_tools(true));
  f.begin();
  f.decide(R"({"tool": "document_tool"})");
  f.step(found(true));
  const std::vector<StepRecorded> steps = {f.recorded(0), f.recorded(1)};
  Fixture again(two_tools(true));
  again.begin(steps);
  REQUIRE(first<Retrieve>(again.last) != nullptr);
  again.step(found(true));
  CHECK(first<Record>(again.last) == nullptr);
  CHECK(again.request().passages.size() == 1);
}

TEST_CASE("a search that fails fails the run") {
  Fixture f(two_tools(false));
  f.begin();
  f.step(RetrievalFailed{Errc::unavailable, "Chroma does not answer"});
  auto* record = first<Record>(f.last);
  REQUIRE(record != nullptr);
  const auto* failed = std::get_if<RunFailed>(&record->events.back());
  REQUIRE(failed != nullptr);
  CHECK(failed->code == Errc::unavailable);
}

TEST_CASE("a run is cancelled while it decides and while it searches") {
  Fixture f(two_tools(GENERATE(true, false)));
  f.begin();
  f.step(CancelAsked{});
  CHECK(f.turn->ended());
  CHECK(f.step(found(true)).empty());
}

TEST_CASE("the steps of a stack are no part of the conversation") {
  Fixture f(two_tools(false));
  f.begin();
  f.step(found(true));
  f.step(StepDurable{});
  f.step(AnswerArrived{{"300 m", {}, {}, "stop"}});
  const auto exchange = f.turn->exchange();
  REQUIRE(exchange.size() == 2);
  CHECK(exchange[1].text == "300 m");
}

}  // namespace
}  // namespace parlance::agent
