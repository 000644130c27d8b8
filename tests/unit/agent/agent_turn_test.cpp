// A turn in a session of the platform: an agent says what the model is told.
#include <variant>

#include <catch2/catch.hpp>

#include "agent/turn.h"
#include "tests/unit/agent/test_tools.h"

namespace parlance::agent {
namespace {

struct Fixture {
  Options options;
  Toolbox toolbox = test::echo_toolbox();
  Turn turn{{{"m"}, "question", {}, {}, {}, nullptr, true}, options, toolbox};
  Effects last = turn.begin();

  AgentSettings agent() const {
    AgentSettings settings;
    settings.name = "Layla";
    settings.prompt = "You are Layla.";
    return settings;
  }
  /// The request of the call that `settings` lead to.
  const ModelRequest& found(AgentSettings settings) {
    last = turn.step(AgentFound{std::move(settings)});
    REQUIRE(last.size() == 1);
    return *std::get<CallModel>(last[0]).request;
  }
};

TEST_CASE("a turn of the platform looks for its agent first") {
  Fixture f;
  REQUIRE(f.last.size() == 1);
  CHECK(std::holds_alternative<FindAgent>(f.last[0]));
}

TEST_CASE("an agent's prompt is the first thing that its model is told") {
  Fixture f;
  const ModelRequest& request = f.found(f.agent());
  CHECK(request.messages.at(0).role == Role::system);
  CHECK(request.messages.at(0).text.starts_with("You are Layla.\n"));
  CHECK(request.messages.at(1).text == "question");
}

TEST_CASE("an agent that names no model, temperature or tools leaves them to the provider") {
  Fixture f;
  const ModelRequest& request = f.found(f.agent());
  CHECK(request.model.empty());
  CHECK_FALSE(request.temperature.has_value());
  CHECK(request.tools == nullptr);
}

TEST_CASE("an agent's model and temperature are asked for") {
  Fixture f;
  AgentSettings agent = f.agent();
  agent.model = "large";
  agent.temperature = 0.5;
  const ModelRequest& request = f.found(agent);
  CHECK(request.model == "large");
  CHECK(request.temperature == 0.5);
}

TEST_CASE("an agent's model is told of its own tools only") {
  Fixture f;
  AgentSettings agent = f.agent();
  agent.tools = {"echo"};
  const ModelRequest& request = f.found(agent);
  REQUIRE(request.tools->size() == 1);
  CHECK(request.tools->front().name == "echo");
}

TEST_CASE("a call of a tool that the agent does not have is not run") {
  Fixture f;
  AgentSettings agent = f.agent();
  agent.tools = {"echo"};
  f.found(agent);
  f.turn.step(AnswerArrived{{"", {{"c", "send", R"({"text":"hi"})"}}, {}, "tool_calls"}});
  const Effects effects = f.turn.step(StepDurable{});
  REQUIRE(effects.size() == 1);
  const auto& step = std::get<StepRecorded>(std::get<Record>(effects[0]).events.at(0));
  CHECK(step.tool_results.at(0).failed);
}

TEST_CASE("a turn whose agent is gone fails and says why") {
  Fixture f;
  f.last = f.turn.step(AgentNotFound{Errc::not_found, "there is no agent with this id"});
  REQUIRE(f.turn.ended());
  const auto& failed = std::get<RunFailed>(std::get<Record>(f.last.at(0)).events.at(0));
  CHECK(failed.error == "there is no agent with this id");
}

TEST_CASE("a turn that is cancelled while it looks for its agent calls no model") {
  Fixture f;
  f.turn.step(CancelAsked{});
  CHECK(f.turn.ended());
  CHECK(f.turn.step(AgentFound{f.agent()}).empty());
}

}  // namespace
}  // namespace parlance::agent
