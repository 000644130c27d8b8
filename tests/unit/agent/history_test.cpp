#include "agent/history.h"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

namespace parlance::agent {
namespace {

std::vector<ChatMessage> exchange(const std::string& question, const std::string& answer) {
  return {{Role::user, question, {}, ""}, {Role::assistant, answer, {}, ""}};
}

TEST_CASE("exchanges are remembered in their order") {
  History history(1'000);
  history.add({"m1"}, exchange("one", "1"));
  history.add({"m2"}, exchange("two", "2"));
  const auto messages = history.messages();
  REQUIRE(messages.size() == 4);
  CHECK(messages[0].text == "one");
  CHECK(messages[3].text == "2");
}

TEST_CASE("the oldest exchanges are forgotten whole when there are too many bytes") {
  History history(10);
  history.add({"m3"}, exchange("aaaa", "a"));
  history.add({"m4"}, exchange("bbbb", "b"));
  REQUIRE(history.messages().size() == 4);
  history.add({"m5"}, exchange("cc", ""));
  const auto messages = history.messages();
  REQUIRE(messages.size() == 4);
  CHECK(messages[0].text == "bbbb");
  CHECK(history.bytes() == 7);
}

TEST_CASE("an exchange that alone is too large is not remembered, nor what came before") {
  History history(10);
  history.add({"m6"}, exchange("small", ""));
  history.add({"m7"}, exchange(std::string(11, 'x'), ""));
  CHECK(history.messages().empty());
  CHECK(history.bytes() == 0);
}

TEST_CASE("the bytes of tool calls count") {
  History history(1'000);
  history.add({"m8"}, {{Role::user, "q", {}, ""},
                       {Role::assistant, "", {{"c", "echo", "{}"}}, ""},
                       {Role::tool, "out", {}, "c"}});
  CHECK(history.bytes() == 1 + 4 + 2 + 3);
}

TEST_CASE("nothing is remembered with a limit of zero") {
  History history(0);
  history.add({"m9"}, exchange("q", "a"));
  CHECK(history.messages().empty());
}

TEST_CASE("a planning step is the assistant's calls, without the text for people") {
  std::vector<ChatMessage> out;
  append_step(out, {{"m"}, StepType::planning, "Calling echo", {{"c", "echo", "{}"}}, {}});
  REQUIRE(out.size() == 1);
  CHECK(out[0].role == Role::assistant);
  CHECK(out[0].text.empty());
  CHECK(out[0].tool_calls.size() == 1);
}

TEST_CASE("an action step is one tool message for each result") {
  std::vector<ChatMessage> out;
  append_step(out, {{"m"},
                    StepType::action,
                    "for people",
                    {},
                    {{"c1", "echo", "one", false}, {"c2", "echo", "two", true}}});
  REQUIRE(out.size() == 2);
  CHECK(out[1].role == Role::tool);
  CHECK(out[1].text == "two");
  CHECK(out[1].tool_call_id == "c2");
}

TEST_CASE("an answer is the assistant's text, whole or not") {
  const StepType type = GENERATE(StepType::final_answer, StepType::partial_answer);
  std::vector<ChatMessage> out;
  append_step(out, {{"m"}, type, "text", {}, {}});
  REQUIRE(out.size() == 1);
  CHECK(out[0].role == Role::assistant);
  CHECK(out[0].text == "text");
}

TEST_CASE("a call that was not answered gets a result that says so") {
  History history(1'000);
  history.add({"m10"}, {{Role::user, "q", {}, ""},
                        {Role::assistant, "", {{"c1", "echo", "{}"}, {"c2", "echo", "{}"}}, ""},
                        {Role::tool, "out", {}, "c1"}});
  history.add({"m11"}, exchange("next", "answer"));
  const auto messages = history.messages();
  REQUIRE(messages.size() == 6);
  CHECK(messages[3].role == Role::tool);
  CHECK(messages[3].tool_call_id == "c2");
  CHECK(messages[3].text == "The run ended before this call did.");
}

}  // namespace
}  // namespace parlance::agent
