#include "agent/toolbox.h"

#include <memory>
#include <string>

#include <catch2/catch.hpp>

#include "agent/builtin_tools.h"
#include "tests/unit/agent/test_tools.h"

namespace parlance::agent {
namespace {

Status check(const std::string& name, const std::string& arguments) {
  return test::echo_toolbox().check({"c", name, arguments});
}

TEST_CASE("arguments that fit the schema pass") {
  CHECK(check("echo", R"({"text":"مرحبا"})").has_value());
}

TEST_CASE("a call of an unknown tool is not found and is told the known ones") {
  const Status status = check("teleport", "{}");
  REQUIRE_FALSE(status.has_value());
  CHECK(status.error().code == Errc::not_found);
  CHECK(status.error().detail == "there is no tool of that name; the tools are: echo, send");
}

TEST_CASE("arguments that break the schema are refused with the rule and the place") {
  const Status status = check("echo", R"({"text":1})");
  REQUIRE_FALSE(status.has_value());
  CHECK(status.error().code == Errc::invalid_argument);
  CHECK(status.error().detail == "the arguments break the schema's rule \"type\" at #/text");
}

TEST_CASE("a missing argument is refused") {
  CHECK(check("echo", "{}").error().detail ==
        "the arguments break the schema's rule \"required\" at #");
}

TEST_CASE("an argument that the schema does not know is refused") {
  CHECK_FALSE(check("echo", R"({"text":"a","more":1})").has_value());
}

TEST_CASE("arguments that are no JSON are refused with the reason") {
  const Status status = check("echo", R"({"text":)");
  REQUIRE_FALSE(status.has_value());
  CHECK(status.error().detail.find("the arguments are not valid JSON at byte 8") == 0);
}

TEST_CASE("arguments that are no object are refused") {
  CHECK_FALSE(check("echo", "[]").has_value());
  CHECK_FALSE(check("echo", "\"text\"").has_value());
}

TEST_CASE("no arguments are those of an empty object") {
  const Toolbox toolbox(make_builtin_tools([](const SessionId&) {
    return Result<std::vector<RecordedEvent>>(std::vector<RecordedEvent>{});
  }));
  CHECK(toolbox.check({"c", "current_time", ""}).has_value());
  CHECK_FALSE(toolbox.check({"c", "calculator", ""}).has_value());
}

TEST_CASE("a schema's bounds on length count characters and not bytes") {
  const Toolbox toolbox(make_builtin_tools([](const SessionId&) {
    return Result<std::vector<RecordedEvent>>(std::vector<RecordedEvent>{});
  }));
  std::string arabic;
  for (int i = 0; i < 1'000; ++i) arabic += "س";
  CHECK(toolbox.check({"c", "search_history", "{\"query\":\"" + arabic + "\"}"}).has_value());
  CHECK_FALSE(
      toolbox.check({"c", "search_history", "{\"query\":\"" + arabic + "س\"}"}).has_value());
  CHECK_FALSE(toolbox.check({"c", "search_history", R"({"query":""})"}).has_value());
}

TEST_CASE("tools are found by their exact names") {
  const Toolbox toolbox = test::echo_toolbox();
  REQUIRE(toolbox.find("send") != nullptr);
  CHECK(toolbox.find("send")->after_crash() == AfterCrash::fail);
  CHECK(toolbox.find("Send") == nullptr);
  CHECK(toolbox.find("") == nullptr);
}

TEST_CASE("a call's key names its message, step and id") {
  CHECK(tool_call_key({"m1"}, 2, {"call_3", "echo", "{}"}) == "m1/2/call_3");
}

}  // namespace
}  // namespace parlance::agent
