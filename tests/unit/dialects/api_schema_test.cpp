#include "dialects/api_schema.h"

#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>
#include <fmt/format.h>

using namespace parlance;
using dialects::ApiBody;
using dialects::FieldError;

namespace {

constexpr std::string_view kId = "019a9a3e-7c1d-7b5e-9f00-3d2a4c5b6e70";

std::vector<FieldError> errors_of(ApiBody kind, std::string_view body) {
  const auto document = json::parse(body);
  REQUIRE(document.has_value());
  return dialects::validate(kind, *document);
}

/// The one error of an agent with these members besides its name and prompt.
FieldError agent_error(std::string_view members) {
  const auto errors =
      errors_of(ApiBody::agent_input, fmt::format(R"({{"name":"a","prompt":"p",{}}})", members));
  REQUIRE(errors.size() == 1);
  return errors.front();
}

bool is_agent(std::string_view members) {
  return errors_of(ApiBody::agent_input, fmt::format(R"({{"name":"a","prompt":"p",{}}})", members))
      .empty();
}

std::string named(const std::string& name) {
  return fmt::format(R"({{"name":"{}","prompt":"p"}})", name);
}

std::string repeated(std::string_view text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += text;
  return out;
}

std::string list_of(int count, bool same) {
  std::string out = "\"tools\":[";
  for (int i = 0; i < count; ++i) {
    out += fmt::format("{}\"t{}\"", i > 0 ? "," : "", same ? 0 : i);
  }
  return out + "]";
}

}  // namespace

TEST_CASE("an agent with every member is valid") {
  CHECK(
      is_agent(R"("description":"d","model":"m","temperature":0.5,"voice":"v","tools":["a_b-1"])"));
}

TEST_CASE("optional members of a body may be null") {
  CHECK(
      is_agent(R"("description":null,"model":null,"temperature":null,"voice":null,"tools":null)"));
}

TEST_CASE("the body of an agent must be an object") {
  const auto errors = errors_of(ApiBody::agent_input, "[]");
  REQUIRE(errors.size() == 1);
  CHECK(errors[0].pointer.empty());
  CHECK(errors[0].message == "the body must be an object");
}

TEST_CASE("all that is wrong with a body is told at once") {
  const auto errors = errors_of(ApiBody::agent_input,
                                R"({"name":"","temperature":3,"tools":["ok","no way",7],"x":1})");
  std::vector<std::string> pointers;
  pointers.reserve(errors.size());
  for (const FieldError& error : errors) pointers.push_back(error.pointer);
  CHECK(pointers ==
        std::vector<std::string>{"/name", "/temperature", "/tools/1", "/tools/2", "/x", "/prompt"});
}

TEST_CASE("a wrong string is told with its length") {
  const auto errors = errors_of(ApiBody::agent_input, named(""));
  REQUIRE(errors.size() == 1);
  CHECK(errors[0].message == "`name` must be a string of 1 to 200 characters");
}

TEST_CASE("a missing member is told with what it must be") {
  const auto errors = errors_of(ApiBody::agent_input, R"({"name":"a"})");
  REQUIRE(errors.size() == 1);
  CHECK(errors[0].message == "`prompt` is missing; it must be a string of 1 to 32,000 characters");
}

TEST_CASE("an unknown member is told with the known ones") {
  const FieldError error = agent_error(R"("colour":"red")");
  CHECK(error.message ==
        "`colour` is not known; known here: description, model, name, prompt, temperature, tools, "
        "voice");
}

TEST_CASE("a long name of an unknown member is not repeated") {
  const FieldError error = agent_error(fmt::format(R"("{}":1)", std::string(5000, 'x')));
  CHECK(error.pointer.empty());
  CHECK(error.message.size() < 200);
}

TEST_CASE("a pointer escapes what means something in it") {
  CHECK(agent_error(R"("a/b~c":1)").pointer == "/a~1b~0c");
}

TEST_CASE("a member that is given twice is refused") {
  CHECK(agent_error(R"("model":"m","model":"n")").message == "`model` is given more than once");
}

TEST_CASE("a wrong number is told with its range") {
  CHECK(agent_error(R"("temperature":2.5)").message ==
        "`temperature` must be a number from 0 to 2, or null");
}

TEST_CASE("the ends of a range are in it") {
  CHECK(is_agent(R"("temperature":0)"));
  CHECK(is_agent(R"("temperature":2.0)"));
}

TEST_CASE("lengths are counted in characters and not in bytes") {
  CHECK(errors_of(ApiBody::agent_input, named(repeated("ع", 200))).empty());
  CHECK(errors_of(ApiBody::agent_input, named(repeated("ع", 201))).size() == 1);
}

TEST_CASE("an agent may have 32 tools and no more") {
  CHECK(is_agent(list_of(32, false)));
  CHECK(agent_error(list_of(33, false)).message ==
        "`tools` must be a list of at most 32 different items, or null");
}

TEST_CASE("an agent's tools differ") {
  CHECK(agent_error(list_of(2, true)).pointer == "/tools");
}

TEST_CASE("a wrong tool is told by its place") {
  const FieldError error = agent_error(R"("tools":["ok","ليس"])");
  CHECK(error.pointer == "/tools/1");
  CHECK(error.message ==
        "`tools/1` must be a string of 1 to 64 characters that matches ^[A-Za-z0-9_-]{1,64}$");
}

TEST_CASE("a zero byte does not end what a pattern is matched with") {
  CHECK(agent_error(R"("tools":["a\u0000 b"])").pointer == "/tools/0");
}

TEST_CASE("a session's agent is named by a UUID in lower case") {
  CHECK(errors_of(ApiBody::session_input, fmt::format(R"({{"agent_id":"{}"}})", kId)).empty());
  for (const std::string_view bad :
       {"019A9A3E-7C1D-7B5E-9F00-3D2A4C5B6E70", "019a9a3e7c1d7b5e9f003d2a4c5b6e70", "1", ""}) {
    const auto errors =
        errors_of(ApiBody::session_input, fmt::format(R"({{"agent_id":"{}"}})", bad));
    REQUIRE(errors.size() == 1);
    CHECK(errors[0].message == "`agent_id` must be a UUID in lower case");
  }
}

TEST_CASE("a session's metadata may be anything of 64 members") {
  const auto body = [](int count) {
    std::string members;
    for (int i = 0; i < count; ++i) {
      members += fmt::format("{}\"م{}\":[{{\"x\":null}}]", i > 0 ? "," : "", i);
    }
    return fmt::format(R"({{"agent_id":"{}","metadata":{{{}}}}})", kId, members);
  };
  CHECK(errors_of(ApiBody::session_input, body(64)).empty());
  const auto errors = errors_of(ApiBody::session_input, body(65));
  REQUIRE(errors.size() == 1);
  CHECK(errors[0].message == "`metadata` must be an object of at most 64 members, or null");
}

TEST_CASE("a text message has a session and a text") {
  CHECK(errors_of(ApiBody::text_message_input,
                  fmt::format(R"({{"session_id":"{}","content":"مرحبا"}})", kId))
            .empty());
  CHECK(errors_of(ApiBody::text_message_input, "{}").size() == 2);
}

TEST_CASE("a retry names the session") {
  CHECK(errors_of(ApiBody::retry_input, fmt::format(R"({{"session_id":"{}"}})", kId)).empty());
  CHECK(errors_of(ApiBody::retry_input, R"({"session_id":null})").size() == 1);
}

TEST_CASE("no more than 32 errors of one body are told") {
  std::string members;
  for (int i = 0; i < 5000; ++i) members += fmt::format(",\"x{}\":1", i);
  CHECK(errors_of(ApiBody::agent_input, fmt::format(R"({{"name":"a"{}}})", members)).size() ==
        dialects::kFieldErrorsMax);
}

TEST_CASE("two threads validate at the same time") {
  std::vector<std::size_t> counts(4);
  std::vector<std::thread> threads;
  threads.reserve(counts.size());
  for (std::size_t& count : counts) {
    threads.emplace_back([&count] {
      const auto document = json::parse(R"({"name":"a","prompt":"p","tools":["a","b c"]})");
      for (int i = 0; i < 200; ++i) {
        count += dialects::validate(ApiBody::agent_input, *document).size();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(counts == std::vector<std::size_t>(4, 200));
}
