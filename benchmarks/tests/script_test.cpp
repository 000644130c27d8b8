#include "benchmarks/upstream/script.h"

#include <stdexcept>
#include <string>

#include <catch2/catch.hpp>

using parlance::benchmarks::Behaviour;
using parlance::benchmarks::Route;
using parlance::benchmarks::Script;

namespace {

std::string text_for(Script& script, std::string_view content, bool last_is_tool = false) {
  return script.next({Route::chat, content, last_is_tool}).text.value_or("(default)");
}

}  // namespace

TEST_CASE("entries are used in order and the last one stays") {
  Script script = Script::parse(R"([{"text":"a"},{"text":"b","repeat":2},{"text":"c"}])");
  std::string seen;
  for (int i = 0; i < 6; ++i) seen += text_for(script, "hi");
  CHECK(seen == "abbccc");
}

TEST_CASE("an empty script has nothing to say") {
  Script script = Script::parse("[]");
  CHECK(text_for(script, "hi") == "(default)");
}

TEST_CASE("an entry with when applies to what it names, as often as it comes") {
  Script script = Script::parse(R"([{"text":"a"},{"when":"weather","text":"rain"},{"text":"b"}])");
  CHECK(text_for(script, "the weather?") == "rain");
  CHECK(text_for(script, "hi") == "a");
  CHECK(text_for(script, "weather") == "rain");
  CHECK(text_for(script, "hi") == "b");
}

TEST_CASE("an entry with when and repeat runs out") {
  Script script = Script::parse(
      R"([{"when":"x","status":500,"repeat":1},{"when":"x","text":"fine"},{"text":"other"}])");
  CHECK(script.next({Route::chat, "x", false}).status == 500);
  CHECK(text_for(script, "x") == "fine");
  CHECK(text_for(script, "y") == "other");
}

TEST_CASE("the result of a tool is answered with text") {
  Script script = Script::parse(R"([{"tool_calls":[{"name":"calculator"}]}])");
  CHECK(script.next({Route::chat, "2+3?", false}).tool_calls.size() == 1);
  CHECK(script.next({Route::chat, "5", true}).tool_calls.empty());
  CHECK(script.next({Route::chat, "and 3+4?", false}).tool_calls.size() == 1);
}

TEST_CASE("two tool calls in a row are possible in order") {
  Script script = Script::parse(
      R"([{"tool_calls":[{"name":"a"}]},{"tool_calls":[{"name":"b"}]},{"text":"done"}])");
  CHECK(script.next({Route::chat, "go", false}).tool_calls.at(0).name == "a");
  CHECK(script.next({Route::chat, "result", true}).tool_calls.at(0).name == "b");
  CHECK(text_for(script, "result", true) == "done");
}

TEST_CASE("a tool's result that contains the text of when does not call the tool again") {
  Script script = Script::parse(R"([{"when":"calc","tool_calls":[{"name":"calculator"}]}])");
  CHECK(script.next({Route::chat, "calc", false}).tool_calls.size() == 1);
  CHECK(script.next({Route::chat, "calc says 5", true}).tool_calls.empty());
}

TEST_CASE("routes use up their own entries") {
  Script script = Script::parse(R"([{"route":"embeddings","status":503},{"text":"a"}])");
  CHECK(text_for(script, "hi") == "a");
  CHECK(script.next({Route::embeddings, "hi", false}).status == 503);
}

TEST_CASE("arguments of a tool call may be an object or raw text") {
  Script script = Script::parse(
      R"([{"tool_calls":[{"name":"a","arguments":{"x":[1, 2]}},{"name":"b","arguments":"{bad"}]}])");
  const Behaviour behaviour = script.next({Route::chat, "hi", false});
  CHECK(behaviour.tool_calls.at(0).arguments == R"({"x":[1,2]})");
  CHECK(behaviour.tool_calls.at(1).arguments == "{bad");
}

TEST_CASE("mistakes in a script are named") {
  const auto [json, complaint] = GENERATE(table<std::string, std::string>({
      {"{}", "must be an array"},
      {"[", "not JSON"},
      {"[1]", "entry 0 must be an object"},
      {R"([{"text":"a"},{"txt":"b"}])", "entry 1: \"txt\" is not a key"},
      {R"([{"tokens":-1}])", "\"tokens\" must be a whole number"},
      {R"([{"status":99}])", "\"status\" must be 200 to 599"},
      {R"([{"repeat":0}])", "\"repeat\" must be at least 1"},
      {R"([{"garbage":"x"}])", "\"garbage\" must be"},
      {R"([{"tool_calls":[]}])", "\"tool_calls\" must be a filled array"},
      {R"([{"route":"voice"}])", "\"route\" must be"},
  }));
  try {
    Script::parse(json);
    FAIL("was taken: " << json);
  } catch (const std::invalid_argument& error) {
    CHECK_THAT(error.what(), Catch::Contains(complaint));
  }
}
