#include "dialects/kiss.h"

#include <string>

#include <catch2/catch.hpp>

#include "base/json.h"

using namespace parlance;
using namespace parlance::dialects;

namespace {

const SessionId kClient{"c-1"};
constexpr std::size_t kTextMax = 20;

template <class T>
T got(const std::variant<T, Problem>& parsed) {
  if (const auto* problem = std::get_if<Problem>(&parsed)) FAIL(problem->detail);
  return std::get<T>(parsed);
}

kiss::ClientFrame frame_of(std::string_view text) {
  const auto parsed = kiss::parse_frame(text);
  if (const auto* bad = std::get_if<kiss::BadFrame>(&parsed)) FAIL(bad->problem.detail);
  return std::get<kiss::ClientFrame>(parsed);
}

template <class T>
int status(const std::variant<T, Problem>& parsed) {
  const auto* problem = std::get_if<Problem>(&parsed);
  return problem == nullptr ? 200 : problem->status;
}

template <class T>
std::string detail(const std::variant<T, Problem>& parsed) {
  const auto* problem = std::get_if<Problem>(&parsed);
  return problem == nullptr ? "" : problem->detail;
}

kiss::BadFrame bad(std::string_view text) {
  auto frame = kiss::parse_frame(text);
  REQUIRE(std::holds_alternative<kiss::BadFrame>(frame));
  return std::get<kiss::BadFrame>(frame);
}

}  // namespace

// ---- /auth ----

TEST_CASE("a scope asks for a new client") {
  const auto request = got(kiss::parse_auth(R"({"scope":"persistent"})"));
  CHECK(std::get<kiss::NewClient>(request).scope == Scope::persistent);
  const auto other =
      got(kiss::parse_auth(R"({"scope":"temporary","client_id":null,"client_secret":""})"));
  CHECK(std::get<kiss::NewClient>(other).scope == Scope::temporary);
}

TEST_CASE("both credentials ask for a known client, whatever the scope") {
  const auto request =
      got(kiss::parse_auth(R"({"client_id":"c-1","client_secret":"s","scope":"persistent"})"));
  CHECK(std::get<kiss::KnownClient>(request).id == kClient);
  CHECK(std::get<kiss::KnownClient>(request).secret == "s");
}

TEST_CASE("neither scope nor both credentials is 401") {
  const char* const body = GENERATE(R"({})", R"({"client_id":"c-1"})", R"({"client_secret":"s"})",
                                    R"({"scope":null})", R"({"client_id":"","client_secret":""})",
                                    R"({"client_id":"not an id","client_secret":"s"})");
  CAPTURE(body);
  CHECK(status(kiss::parse_auth(body)) == 401);
}

TEST_CASE("an unknown scope or a wrong type is 422") {
  const char* const body =
      GENERATE(R"({"scope":"eternal"})", R"({"scope":1})", R"({"client_id":7,"client_secret":"s"})",
               R"({"client_id":"c-1","client_secret":["s"]})",
               R"({"client_id":"c-1","client_secret":"s","scope":"Temporary"})");
  CAPTURE(body);
  CHECK(status(kiss::parse_auth(body)) == 422);
}

TEST_CASE("a secret that is too long is 422") {
  const std::string secret(kiss::kSecretBytesMax + 1, 's');
  CHECK(status(kiss::parse_auth(R"({"client_id":"c","client_secret":")" + secret + "\"}")) == 422);
}

TEST_CASE("an /auth that is no JSON object is 400") {
  const char* const body = GENERATE("", "x", "[]", "null", R"({"scope":"temporary")");
  CAPTURE(body);
  CHECK(status(kiss::parse_auth(body)) == 400);
}

// ---- /sessions ----

TEST_CASE("an action is init or close") {
  CHECK(got(kiss::parse_action("init")) == kiss::Action::init);
  CHECK(got(kiss::parse_action("close")) == kiss::Action::close);
}

TEST_CASE("an unknown action is named") {
  CHECK(status(kiss::parse_action("destroy")) == 400);
  CHECK(detail(kiss::parse_action("destroy")) == "Invalid action: destroy");
  CHECK(detail(kiss::parse_action({})) == "Invalid action: ");
  CHECK(detail(kiss::parse_action("INIT")) == "Invalid action: INIT");
  CHECK(detail(kiss::parse_action(std::string(1000, 'x'))).size() < 100);
}

TEST_CASE("the body of an action may be empty, a greeting or the own session") {
  CHECK_FALSE(got(kiss::parse_session("", kClient, kTextMax)).query);
  CHECK_FALSE(got(kiss::parse_session("{}", kClient, kTextMax)).query);
  CHECK_FALSE(got(kiss::parse_session(R"({"session_id":"c-1"})", kClient, kTextMax)).query);
  CHECK(got(kiss::parse_session(R"({"query":"hi"})", kClient, kTextMax)).query == "hi");
  CHECK_FALSE(got(kiss::parse_session(R"({"query":null})", kClient, kTextMax)).query);
}

TEST_CASE("another client's session is 403") {
  CHECK(status(kiss::parse_session(R"({"session_id":"c-2"})", kClient, kTextMax)) == 403);
}

TEST_CASE("a greeting must be text within its limit") {
  CHECK(status(kiss::parse_session(R"({"query":1})", kClient, kTextMax)) == 422);
  CHECK(status(kiss::parse_session(R"({"query":"123456789012345678901"})", kClient, kTextMax)) ==
        422);
  CHECK(status(kiss::parse_session(R"({"session_id":1})", kClient, kTextMax)) == 422);
  CHECK(status(kiss::parse_session("{", kClient, kTextMax)) == 400);
}

// ---- /queries ----

TEST_CASE("a query may come with parameters") {
  const auto plain = got(kiss::parse_query(R"({"query":"مرحبا"})", kTextMax));
  CHECK(plain.query == "مرحبا");
  CHECK_FALSE(plain.stream);
  CHECK_FALSE(got(kiss::parse_query(R"({"query":"q","parameters":{"k":1}})", kTextMax)).stream);
  CHECK_FALSE(got(kiss::parse_query(R"({"query":"q","parameters":null})", kTextMax)).stream);
  CHECK(
      got(kiss::parse_query(R"({"query":"q","parameters":{"stream" : true }})", kTextMax)).stream);
}

TEST_CASE("a query that is missing, empty, too long or no text is 422") {
  const char* const body =
      GENERATE(R"({})", R"({"query":""})", R"({"query":null})", R"({"query":{}})",
               R"({"query":"123456789012345678901"})", R"({"query":"q","parameters":[]})",
               R"({"query":"q","parameters":"stream"})");
  CAPTURE(body);
  CHECK(status(kiss::parse_query(body, kTextMax)) == 422);
}

TEST_CASE("a query in broken JSON is 400") {
  const char* const body = GENERATE("", "[]", R"({"query":"q")", R"({"query":"q"} x)",
                                    "{\"query\":\"\xff\"}", R"({"query":"q","parameters":{"a"})");
  CAPTURE(body);
  CHECK(status(kiss::parse_query(body, kTextMax)) == 400);
}

// ---- Frames ----

TEST_CASE("the case of the event is kept, and the data is found where it lies") {
  const std::string text = R"({"event":"ON_QUERY","data":{"query":"q"}})";
  const auto upper = frame_of((text));
  CHECK(upper.name.event == kiss::Event::query);
  CHECK(upper.name.text() == "ON_QUERY");
  CHECK(text.substr(upper.data_begin, upper.data_bytes) == R"({"query":"q"})");

  const std::string other = R"({"data": {"a":"\"}"} , "event":"on_store"})";
  const auto lower = frame_of((other));
  CHECK(lower.name.event == kiss::Event::store);
  CHECK(lower.name.text() == "on_store");
  CHECK(other.substr(lower.data_begin, lower.data_bytes) == R"({"a":"\"}"})");
}

TEST_CASE("a frame may have no data") {
  CHECK(frame_of((R"({"event":"ON_INIT"})")).data_bytes == 0);
  CHECK(frame_of((R"({"event":"ON_INIT","data":null})")).data_bytes == 0);
}

TEST_CASE("an unknown event is named") {
  const char* const name = GENERATE("On_Query", "ON_DANCE", "query", "", "on_QUERY");
  CAPTURE(name);
  const kiss::BadFrame frame = bad(std::string(R"({"event":")") + name + "\"}");
  CHECK(frame.event == name);
  CHECK(frame.problem.status == 400);
}

TEST_CASE("a frame that cannot be read has no event") {
  const char* const text =
      GENERATE("", "hello", "[]", "{", R"({"event":1})", R"({"data":{}})",
               R"({"event":"ON_QUERY","data":})", R"({"event":"ON_QUERY","data":{}}})");
  CAPTURE(text);
  const kiss::BadFrame frame = bad(text);
  CHECK_FALSE(frame.event);
  CHECK(frame.problem.status == 400);
}

TEST_CASE("a long event name is cut between characters") {
  std::string name = "x";
  for (int i = 0; i < 100; ++i) name += "ي";
  const kiss::BadFrame frame = bad(R"({"event":")" + name + "\"}");
  REQUIRE(frame.event);
  CHECK(frame.event->size() < 80);
  CHECK(json::valid_utf8(*frame.event));
}

// ---- Answers ----

TEST_CASE("authorization is answered with the token and the secret") {
  CHECK(kiss::auth_answer(kClient, Scope::persistent, "s\"1", "t.o.k", std::chrono::minutes(30)) ==
        R"({"session_id":"c-1","access_token":"t.o.k","token_type":"bearer","expires_in":1800,)"
        R"("client_id":"c-1","client_secret":"s\"1","scope":"persistent"})");
}

TEST_CASE("init and close are answered with a sentence") {
  CHECK(kiss::session_answer(kClient, kiss::Action::init, {}) ==
        R"({"stack_id":"c-1","result":"Hello! The stack is ready.","extras":{}})");
  CHECK(kiss::session_answer(kClient, kiss::Action::close, {.query = "bye"}) ==
        R"({"stack_id":"c-1","result":"Goodbye! The stack session is closed.",)"
        R"("extras":{"query":"bye"}})");
}

TEST_CASE("stored documents are told by tool") {
  DocumentsAccepted accepted{.tools = {"docs", "more"}, .document_ids = {"a", "b\"c"}};
  CHECK(kiss::documents_answer(kClient, accepted) ==
        R"({"stack_id":"c-1","result":"Files stored",)"
        R"("extras":{"docs":["a","b\"c"],"more":["a","b\"c"]}})");
  accepted.tools.clear();
  CHECK(kiss::documents_answer(kClient, accepted) ==
        R"({"stack_id":"c-1","result":"Files stored","extras":{}})");
}

TEST_CASE("a passage is told with its place and metadata") {
  PassageText passage{.id = {1, 17},
                      .document_id = "d",
                      .document_name = "d.txt",
                      .metadata = R"({"k":1})",
                      .begin = 4,
                      .end = 9,
                      .text = "hello"};
  CHECK(kiss::passage_answer(passage) ==
        R"({"id":"1-17","document_id":"d","name":"d.txt","span":[4,9],"metadata":{"k":1},)"
        R"("text":"hello"})");
}

TEST_CASE("an event in upper case nests the answer, one in lower case does not") {
  const std::string answer = R"({"stack_id":"c-1","result":"r","extras":{}})";
  CHECK(kiss::answer_frame({kiss::Event::query, true}, answer) ==
        R"({"event":"ON_QUERY","result":{"stack_id":"c-1","result":"r","extras":{}}})");
  CHECK(kiss::answer_frame({kiss::Event::query, false}, answer) ==
        R"({"event":"on_query","stack_id":"c-1","result":"r","extras":{}})");
}

TEST_CASE("a step has the event in front") {
  CHECK(kiss::step_frame({kiss::Event::query, true}, R"({"type":"agent_step"})") ==
        R"({"event":"ON_QUERY","type":"agent_step"})");
}

TEST_CASE("an error names its event, or null") {
  const Problem problem{.status = 409, .detail = "not \"yet\""};
  CHECK(kiss::error_frame("on_query", problem) ==
        R"({"error":true,"event":"on_query","status_code":409,"detail":"not \"yet\""})");
  CHECK(kiss::error_frame({}, problem) ==
        R"({"error":true,"event":null,"status_code":409,"detail":"not \"yet\""})");
}
