#include "dialects/platform.h"

#include <string>

#include <catch2/catch.hpp>

using namespace parlance;
using namespace parlance::dialects;
using platform::parse_agent;

namespace {

const std::string agent_id = "019a9a3e-7c1d-7b5e-9f00-3d2a4c5b6e70";
const std::string session_id = "019a9a3f-10aa-7c22-8b11-6f5e4d3c2b1a";

template <class Parsed>
Problem problem(const Parsed& parsed) {
  const auto* found = std::get_if<Problem>(&parsed);
  REQUIRE(found != nullptr);
  return *found;
}

AgentSettings agent(std::string_view body) {
  auto parsed = parse_agent(body);
  if (const auto* refused = std::get_if<Problem>(&parsed)) FAIL(refused->detail);
  return std::get<AgentSettings>(parsed);
}

auto session(const std::string& metadata) {
  return platform::parse_session(R"({"agent_id":")" + agent_id + R"(","metadata":)" + metadata +
                                 "}");
}

platform::VersionCondition condition(std::string_view header) {
  const auto parsed = platform::parse_if_match(header);
  INFO(header);
  REQUIRE(std::holds_alternative<platform::VersionCondition>(parsed));
  return std::get<platform::VersionCondition>(parsed);
}

Agent some_agent(std::string id, std::string prompt = "p") {
  Agent made;
  made.id.text = std::move(id);
  made.settings.name = "n";
  made.settings.prompt = std::move(prompt);
  made.created_at = {1'000};
  made.updated_at = {2'000};
  return made;
}

}  // namespace

// ---- Bodies ----

TEST_CASE("an agent's settings are read") {
  const AgentSettings read =
      agent(R"({"name":"n","description":"d","prompt":"p","model":"m","temperature":0.3,)"
            R"("voice":"v","tools":["clock","calculator"]})");
  CHECK(read == AgentSettings{"n", "d", "p", "m", 0.3, "v", {"clock", "calculator"}});
}

TEST_CASE("what an agent leaves out or gives as null is unset") {
  const AgentSettings unset{"n", {}, "p", {}, {}, {}, {}};
  CHECK(agent(R"({"name":"n","prompt":"p"})") == unset);
  CHECK(agent(R"({"name":"n","prompt":"p","description":null,"model":null,"temperature":null,)"
              R"("voice":null,"tools":null})") == unset);
}

TEST_CASE("texts of an agent are composed") {
  const AgentSettings read = agent(R"({"name":"cafe\u0301","prompt":"o\u0302\u0323"})");
  CHECK(read.name == "caf\u00e9");
  CHECK(read.prompt == "\u1ed9");
}

TEST_CASE("a body that is no JSON object is 400") {
  for (const auto* body :
       {"", "x", "[]", "1", "null", R"({"name":)", "\xff", R"({"name":"\ud800"})"}) {
    INFO(body);
    CHECK(problem(parse_agent(body)).status == 400);
    CHECK(problem(platform::parse_session(body)).status == 400);
    CHECK(problem(platform::parse_text_message(body, 100)).status == 400);
    CHECK(problem(platform::parse_retry(body)).status == 400);
  }
}

TEST_CASE("all that is wrong with a body is told, with pointers into it") {
  const Problem refused = problem(parse_agent(R"({"name":"","temperature":3,"nam":1})"));
  CHECK(refused.status == 422);
  std::vector<std::string> pointers;
  for (const FieldError& error : refused.errors) pointers.push_back(error.pointer);
  CHECK_THAT(pointers, Catch::Matchers::UnorderedEquals(
                           std::vector<std::string>{"/name", "/prompt", "/temperature", "/nam"}));
}

TEST_CASE("an agent with a member that is given twice is refused") {
  const Problem refused = problem(parse_agent(R"({"name":"n","prompt":"p","name":"m"})"));
  CHECK(refused.status == 422);
  CHECK(refused.errors.at(0).pointer == "/name");
}

TEST_CASE("a session's settings are read") {
  const auto parsed = platform::parse_session(
      R"({"agent_id":")" + agent_id + R"(","title":"t","metadata":{"a": [1, 0.1, "\u0639"]}})");
  const auto& read = std::get<PlatformSessionSettings>(parsed);
  CHECK(read == PlatformSessionSettings{AgentId{agent_id}, "t", R"({"a":[1,0.1,"ع"]})"});
}

TEST_CASE("metadata that is left out is an empty object") {
  const auto parsed = platform::parse_session(R"({"agent_id":")" + agent_id + R"("})");
  CHECK(std::get<PlatformSessionSettings>(parsed).metadata == "{}");
}

TEST_CASE("metadata over 16 KiB is refused") {
  const auto of = [](std::size_t bytes) {
    return session(R"({"a":")" + std::string(bytes - 8, 'x') + "\"}");
  };
  CHECK(std::holds_alternative<PlatformSessionSettings>(of(16 << 10)));
  const Problem refused = problem(of((16 << 10) + 1));
  CHECK(refused.status == 422);
  CHECK(refused.errors.at(0).pointer == "/metadata");
}

TEST_CASE("metadata deeper than 16 levels is refused") {
  const auto of = [](std::size_t levels) {
    return session(R"({"a":)" + std::string(levels - 1, '[') + std::string(levels - 1, ']') + "}");
  };
  CHECK(std::holds_alternative<PlatformSessionSettings>(of(16)));
  CHECK(problem(of(17)).status == 422);
}

TEST_CASE("an object in the metadata has each member once") {
  CHECK(problem(session(R"({"a":[{"b":1,"b":2}]})")).status == 422);
  CHECK(std::holds_alternative<PlatformSessionSettings>(session(R"({"a":{"b":1},"b":2})")));
}

TEST_CASE("a text message is read") {
  const auto parsed = platform::parse_text_message(
      R"({"session_id":")" + session_id + R"(","content":"cafe\u0301 ع"})", 100);
  const auto& read = std::get<platform::TextMessage>(parsed);
  CHECK(read.session.text == session_id);
  CHECK(read.text == "caf\u00e9 ع");
}

TEST_CASE("a text over the limit of bytes is refused") {
  const auto of = [](std::size_t bytes) {
    return platform::parse_text_message(
        R"({"session_id":")" + session_id + R"(","content":")" + std::string(bytes, 'x') + "\"}",
        100);
  };
  CHECK(std::holds_alternative<platform::TextMessage>(of(100)));
  CHECK(problem(of(101)).errors.at(0).pointer == "/content");
}

TEST_CASE("a retry names its session") {
  const auto parsed = platform::parse_retry(R"({"session_id":")" + session_id + R"("})");
  CHECK(std::get<SessionId>(parsed).text == session_id);
  CHECK(problem(platform::parse_retry("{}")).status == 422);
}

// ---- Queries and headers ----

TEST_CASE("a list's range is read") {
  const auto range = std::get<ListRange>(platform::parse_range("7", agent_id));
  CHECK(range.limit == 7);
  CHECK(range.before == agent_id);
  CHECK(std::get<ListRange>(platform::parse_range({}, {})).limit == 50);
  CHECK(std::get<ListRange>(platform::parse_range("200", {})).limit == 200);
}

TEST_CASE("a bad range is 400") {
  for (const auto* limit : {"0", "201", "-1", "x", "", "1.5", "99999999999999999999"}) {
    INFO(limit);
    CHECK(problem(platform::parse_range(limit, {})).status == 400);
  }
  for (const auto* cursor : {"", "x", "1093-4"}) {
    INFO(cursor);
    CHECK(problem(platform::parse_range({}, cursor)).status == 400);
  }
  CHECK(problem(platform::parse_agent_filter("x")).status == 400);
}

TEST_CASE("cascade is true or false") {
  CHECK(std::get<bool>(platform::parse_cascade("true")));
  CHECK(!std::get<bool>(platform::parse_cascade("false")));
  CHECK(!std::get<bool>(platform::parse_cascade({})));
  CHECK(problem(platform::parse_cascade("1")).status == 400);
}

TEST_CASE("If-Match is a list of entity tags or a star") {
  CHECK(condition("").any);
  CHECK(condition(" * ").any);
  CHECK(condition(R"("3")").versions == std::vector<std::uint64_t>{3});
  CHECK(condition(R"("3" , ,"17")").versions == std::vector<std::uint64_t>{3, 17});
}

TEST_CASE("a weak tag and one of another server match nothing") {
  for (const auto* header : {R"(W/"3")", R"("abc")", R"("03")", R"("")", R"("3,4")", ","}) {
    INFO(header);
    CHECK(!condition(header).any);
    CHECK(condition(header).versions.empty());
  }
}

TEST_CASE("a malformed If-Match is 400") {
  for (const auto* header : {"3", R"("3)", R"("3""4")", R"(*,"3")", R"(w/"3")", R"("a b")"}) {
    INFO(header);
    CHECK(problem(platform::parse_if_match(header)).status == 400);
  }
}

// ---- Answers ----

TEST_CASE("an agent is told with all its members") {
  Agent made = some_agent(agent_id);
  made.settings.description = "\"ع\"";
  made.settings.temperature = 0.3;
  made.settings.tools = {"clock", "calculator"};
  CHECK(platform::agent_json(made) ==
        R"({"id":"019a9a3e-7c1d-7b5e-9f00-3d2a4c5b6e70","name":"n","description":"\"ع\"",)"
        R"("prompt":"p","model":null,"temperature":0.3,"voice":null,)"
        R"("tools":["clock","calculator"],"created_at":"1970-01-01T00:00:01.000Z",)"
        R"("updated_at":"1970-01-01T00:00:02.000Z"})");
}

TEST_CASE("a session is told with its metadata as it was given") {
  const PlatformSession made{.id = {session_id},
                             .settings = {{agent_id}, std::nullopt, R"({"a":1})"},
                             .created_at = {0},
                             .updated_at = {1}};
  CHECK(platform::session_json(made) ==
        R"({"id":"019a9a3f-10aa-7c22-8b11-6f5e4d3c2b1a",)"
        R"("agent_id":"019a9a3e-7c1d-7b5e-9f00-3d2a4c5b6e70","title":null,"metadata":{"a":1},)"
        R"("created_at":"1970-01-01T00:00:00.000Z","updated_at":"1970-01-01T00:00:00.001Z"})");
}

TEST_CASE("a list goes on where one more was found than it tells") {
  const std::vector<Agent> found = {some_agent("c"), some_agent("b"), some_agent("a")};
  const std::string page = platform::agents_json(found, 2);
  CHECK(page.find(R"("id":"a")") == std::string::npos);
  CHECK(page.find(R"("next_cursor":"b"})") != std::string::npos);
  CHECK(platform::agents_json(found, 3).find(R"("next_cursor":null})") != std::string::npos);
  CHECK(platform::agents_json({}, 3) == R"({"items":[],"next_cursor":null})");
}

TEST_CASE("a list of long entities ends early") {
  const std::vector<Agent> found(200, some_agent(agent_id, std::string(128'000, 'x')));
  const std::string page = platform::agents_json(found, 200);
  CHECK(page.size() < platform::kListBytesMax + 200'000);
  CHECK(page.ends_with(R"("next_cursor":")" + agent_id + "\"}"));
}

TEST_CASE("an ETag is the version in quotes") {
  CHECK(platform::etag_of(17) == "\"17\"");
}
