#include "dialects/step_stream.h"

#include <catch2/catch.hpp>

#include "base/json.h"

using namespace parlance;
namespace step_stream = dialects::step_stream;

namespace {

constexpr step_stream::Limits kLimits{.message_bytes_max = 32, .ping_bytes_max = 8};

template <class T>
T parsed(std::string_view text) {
  const auto frame = step_stream::parse_frame(text, kLimits);
  INFO(text);
  REQUIRE(std::holds_alternative<T>(frame));
  return std::get<T>(frame);
}

std::string refusal(std::string_view text) {
  return parsed<step_stream::BadFrame>(text).error;
}

std::string recorded(Event event) {
  std::string out;
  step_stream::append_recorded(out, "c1", {{7, 42}, {1'767'323'045'678}, std::move(event)});
  return out;
}

std::string passing(const PassingEvent& event) {
  std::string out;
  step_stream::append_passing(out, "c1", event);
  return out;
}

}  // namespace

// ---- Client frames ----

TEST_CASE("a client frame is a message to submit") {
  const auto command = parsed<SubmitMessage>(
      R"({"message_id":"m1","type":"client","message":"\u0645\u0631\u062d\u0628\u0627 \ud83d\ude00","x":[{}]})");
  CHECK(command.message_id.text == "m1");
  CHECK(command.text == "\xd9\x85\xd8\xb1\xd8\xad\xd8\xa8\xd8\xa7 \xf0\x9f\x98\x80");
  CHECK(command.on_busy == OnBusy::queue);
}

TEST_CASE("on_busy takes its four words") {
  const auto busy = [](std::string_view word) {
    return parsed<SubmitMessage>(R"({"type":"client","message":"a","message_id":"m","on_busy":")" +
                                 std::string(word) + "\"}")
        .on_busy;
  };
  CHECK(busy("queue") == OnBusy::queue);
  CHECK(busy("reject") == OnBusy::reject);
  CHECK(busy("interrupt") == OnBusy::interrupt);
  CHECK(busy("steer") == OnBusy::steer);
  CHECK(refusal(R"({"type":"client","message":"a","message_id":"m","on_busy":"later"})") ==
        "`on_busy` must be one of queue, reject, interrupt, steer");
}

TEST_CASE("cancel names a message or the run in progress") {
  CHECK(!parsed<CancelMessage>(R"({"type":"cancel"})").message_id);
  CHECK(!parsed<CancelMessage>(R"({"type":"cancel","message_id":null})").message_id);
  CHECK(parsed<CancelMessage>(R"({"type":"cancel","message_id":"m"})").message_id->text == "m");
  CHECK(refusal(R"({"type":"cancel","message_id":7})") == "`message_id` must be a string");
}

TEST_CASE("ping may carry data") {
  CHECK(!parsed<step_stream::Ping>(R"({"type":"ping"})").data);
  CHECK(parsed<step_stream::Ping>(R"({"type":"ping","data":""})").data == "");
  CHECK(parsed<step_stream::Ping>(R"({"type":"ping","data":"12345678"})").data == "12345678");
  CHECK(refusal(R"({"type":"ping","data":"123456789"})") ==
        "`data` has 9 bytes; at most 8 are allowed");
  CHECK(refusal(R"({"type":"ping","data":{}})") == "`data` must be a string");
}

TEST_CASE("get_history needs nothing else") {
  parsed<step_stream::GetHistory>(R"({"type":"get_history","message_id":[1]})");
}

TEST_CASE("a refusal says what was wrong") {
  CHECK(refusal("") ==
        "the frame cannot be read: not valid JSON at byte 0: The document is empty.");
  CHECK(refusal("[1]") == "the frame cannot be read: expected a JSON object");
  CHECK(refusal("\"x\"") == "the frame cannot be read: expected a JSON object");
  CHECK(refusal("{} {}").find("not valid JSON") != std::string::npos);
  CHECK(refusal("{}") == "`type` must be a string, one of client, get_history, cancel, ping");
  CHECK(refusal(R"({"type":"c\"lient"})") ==
        "unknown type \"c\"lient\"; one of client, get_history, cancel, ping is expected");
  CHECK(refusal(R"({"type":"client","message_id":"m"})") == "`message` is missing");
  CHECK(refusal(R"({"type":"client","message":[],"message_id":"m"})") ==
        "`message` must be a string");
  CHECK(refusal(R"({"type":"client","message":"","message_id":"m"})") ==
        "`message` must not be empty");
  CHECK(
      refusal(
          R"({"type":"client","message":"123456789012345678901234567890123","message_id":"m"})") ==
      "`message` has 33 bytes; at most 32 are allowed");
  CHECK(refusal(R"({"type":"client","message":"a"})") == "`message_id` is missing");
  CHECK(refusal(R"({"type":"client","message":"a","message_id":null})") ==
        "`message_id` must be a string");
  CHECK(refusal(R"({"type":"client","message":"a","message_id":"a\nb"})") ==
        "`message_id` must have 1 to 128 bytes and no control characters");
  CHECK(refusal(R"({"type":"client","message":"a","message_id":""})") ==
        "`message_id` must have 1 to 128 bytes and no control characters");
}

TEST_CASE("a refused message is named where its id can be read") {
  CHECK(parsed<step_stream::BadFrame>(R"({"type":"client","message":1,"message_id":"m"})")
            .message_id->text == "m");
  CHECK(!parsed<step_stream::BadFrame>(R"({"type":"client","message":"a","message_id":1})")
             .message_id);
}

TEST_CASE("text that is not Unicode is refused") {
  CHECK(refusal("{\"type\":\"client\",\"message\":\"\xff\",\"message_id\":\"m\"}") ==
        "the frame cannot be read: `message` is not valid UTF-8");
  CHECK(refusal(R"({"type":"client","message":"\udc00","message_id":"m"})") ==
        "the frame cannot be read: `message` is not valid UTF-8");
  CHECK(refusal(R"({"type":"client","message":"\ud800","message_id":"m"})").find("surrogate") !=
        std::string::npos);
}

TEST_CASE("a zero byte ends nothing") {
  using namespace std::string_view_literals;
  CHECK(refusal("{\"type\":\"ping\"}\0"sv) ==
        "the frame cannot be read: not valid JSON at byte 15: A zero byte.");
  CHECK(refusal("{\"type\":\"ping\"} \0{}"sv).find("byte 16") != std::string::npos);
  CHECK(refusal("\0{\"type\":\"ping\"}"sv).find("not valid JSON") != std::string::npos);
  CHECK(refusal("{\"type\":\0\"ping\"}"sv).find("not valid JSON") != std::string::npos);
  const auto body = step_stream::parse_submit_body("{\"message\":\"hi\"}\0x"sv, kLimits);
  CHECK(std::get<dialects::Problem>(body).status == 400);
  parsed<step_stream::Ping>(R"({"type":"ping"} )");
}

TEST_CASE("deep nesting is refused without recursion") {
  CHECK(refusal("{\"x\":" + std::string(100'000, '[')).find("deeper than 64") != std::string::npos);
  CHECK(refusal("{\"x\":" + std::string(60, '[') + std::string(60, ']') + "}").find("`type`") !=
        std::string::npos);
}

TEST_CASE("members inside other members do not count and the last of two does") {
  CHECK(refusal(R"({"x":{"type":"ping"}})").find("`type`") != std::string::npos);
  parsed<step_stream::Ping>(R"({"type":"client","type":"ping"})");
  CHECK(refusal(R"({"type":"ping","type":1})").find("`type`") != std::string::npos);
}

// ---- Server frames ----

TEST_CASE("recorded events have exactly the contract's fields") {
  CHECK(recorded(StepRecorded{{"m1"}, StepType::action, "a\n\"b\"", {}, {}}) ==
        R"({"type":"agent_step","step_type":"ActionStep","message":"a\n\"b\"","message_id":"m1",)"
        R"("chat_id":"c1","seq":42,"cursor":"7-42","timestamp":"2026-01-02T03:04:05.678Z"})");
  CHECK(recorded(RunEnded{{"m1"}, RunOutcome::completed, {}}) ==
        R"({"type":"message_end","message_id":"m1","chat_id":"c1","seq":42,"cursor":"7-42",)"
        R"("status":"completed"})");
  CHECK(
      recorded(RunEnded{{"m1"}, RunOutcome::cancelled, {3, 4}}) ==
      R"({"type":"message_end","message_id":"m1","chat_id":"c1","seq":42,"cursor":"7-42",)"
      R"("status":"cancelled","usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}})");
  CHECK(recorded(RunFailed{{"m1"}, "no model", Errc::unavailable, {}}) ==
        R"({"type":"agent_error","error":"no model","chat_id":"c1","message_id":"m1","seq":42,)"
        R"("cursor":"7-42"})");
  CHECK(recorded(MessageAccepted{{"m1"}, "hi", OnBusy::queue}) ==
        R"({"type":"client_message","message":"hi","message_id":"m1","chat_id":"c1","seq":42,)"
        R"("cursor":"7-42","timestamp":"2026-01-02T03:04:05.678Z"})");
}

TEST_CASE("users' messages are shown only to who asked for them") {
  CHECK(!step_stream::shown(MessageAccepted{}, false));
  CHECK(step_stream::shown(MessageAccepted{}, true));
  CHECK(step_stream::shown(RunEnded{}, false));
}

TEST_CASE("passing events have exactly the contract's fields") {
  CHECK(passing(TextDelta{{"m1"}, "t"}) ==
        R"({"type":"agent_delta","message_id":"m1","chat_id":"c1","delta":"t"})");
  CHECK(passing(TextReset{{"m1"}}) == R"({"type":"agent_reset","message_id":"m1","chat_id":"c1"})");
  CHECK(passing(RunStalled{{"m1"}, "disk full"}) ==
        R"({"type":"agent_error","error":"disk full","chat_id":"c1","message_id":"m1"})");
  CHECK(step_stream::needs_tokens(TextDelta{}));
  CHECK(!step_stream::needs_tokens(RunStalled{}));
}

TEST_CASE("the frames around the stream") {
  std::string out;
  step_stream::append_snapshot(out, "c1", {{"m1"}, "so far"});
  CHECK(out == R"({"type":"agent_snapshot","message_id":"m1","chat_id":"c1","text":"so far"})");
  out.clear();
  step_stream::append_resumed(out, {7, 1}, {18'446'744'073'709'551'615ULL, 9});
  CHECK(out == R"({"type":"resumed","from":"7-1","to":"18446744073709551615-9"})");
  out.clear();
  step_stream::append_gap(out, "[]");
  CHECK(out == R"({"type":"gap","history":[]})");
  out.clear();
  step_stream::append_history_frame(out, "c1", "[]");
  CHECK(out == R"({"type":"history","chat_id":"c1","history":[]})");
  out.clear();
  step_stream::append_pong(out, "c1", std::nullopt);
  CHECK(out == R"({"type":"pong","chat_id":"c1"})");
  out.clear();
  step_stream::append_pong(out, "c1", "x\"");
  CHECK(out == R"({"type":"pong","chat_id":"c1","data":"x\""})");
}

TEST_CASE("history has messages, steps and failures in the order of the log") {
  const WallTime time{1'743'713'112'000};
  const std::vector<RecordedEvent> events = {
      {{7, 1}, time, MessageAccepted{{"m1"}, "get all contacts", OnBusy::queue}},
      {{7, 2}, time, StepRecorded{{"m1"}, StepType::action, "logs", {}, {}}},
      {{7, 3}, time, RunEnded{{"m1"}, RunOutcome::completed, {}}},
      {{7, 4}, time, RunFailed{{"m2"}, "no model", Errc::unavailable, {}}}};
  std::string out;
  CHECK(step_stream::append_history(out, events) == 3);
  CHECK(out == R"({"role":"user","content":"get all contacts","step_type":null,)"
               R"("timestamp":"2025-04-03 20:45:12","message_id":"m1","seq":1},)"
               R"({"role":"agent","content":"logs","step_type":"ActionStep",)"
               R"("timestamp":"2025-04-03 20:45:12","message_id":"m1","seq":2},)"
               R"({"role":"agent","content":"no model","step_type":"ErrorStep",)"
               R"("timestamp":"2025-04-03 20:45:12","message_id":"m2","seq":4})");
}

TEST_CASE("every frame is valid JSON whatever the text") {
  std::string text;
  for (char c = 1; c < 127; ++c) text += c;
  text += std::string("\0", 1) + "\xd8\xb9\xe2\x80\xae";
  for (const std::string& frame :
       {recorded(StepRecorded{{"m\\"}, StepType::planning, text, {}, {}}),
        recorded(RunFailed{{"m"}, text, Errc::internal, {}}), passing(TextDelta{{"m"}, text})}) {
    const auto document = json::parse(frame);
    REQUIRE(document.has_value());
    CHECK(frame.find('\n') == std::string::npos);
  }
}

// ---- Bodies ----

TEST_CASE("a body to submit may leave the id out") {
  const auto body = step_stream::parse_submit_body(R"({"message":"hi"})", kLimits);
  REQUIRE(std::holds_alternative<SubmitMessage>(body));
  CHECK(std::get<SubmitMessage>(body).message_id.text.empty());
}

TEST_CASE("a malformed body is 400 and an invalid one 422 with pointers") {
  const auto malformed = step_stream::parse_submit_body("{", kLimits);
  CHECK(std::get<dialects::Problem>(malformed).status == 400);
  const auto invalid =
      step_stream::parse_submit_body(R"({"message":1,"message_id":"","on_busy":7})", kLimits);
  const auto& problem = std::get<dialects::Problem>(invalid);
  CHECK(problem.status == 422);
  REQUIRE(problem.errors.size() == 3);
  CHECK(problem.errors[0].pointer == "/message");
  CHECK(problem.errors[1].pointer == "/message_id");
  CHECK(problem.errors[2].pointer == "/on_busy");
}

TEST_CASE("a body to cancel may be empty") {
  CHECK(std::holds_alternative<CancelMessage>(step_stream::parse_cancel_body("")));
  CHECK(std::get<CancelMessage>(step_stream::parse_cancel_body(R"({"message_id":"m"})"))
            .message_id->text == "m");
  CHECK(std::get<dialects::Problem>(step_stream::parse_cancel_body(R"({"message_id":1})")).status ==
        422);
}

TEST_CASE("a task may name a chat") {
  CHECK(std::get<std::string>(
            step_stream::parse_run_body(R"({"task":"t","chat_id":null})", kLimits)) == "t");
  CHECK(std::get<std::string>(
            step_stream::parse_run_body(R"({"task":"t","chat_id":"c"})", kLimits)) == "t");
  for (const auto* body : {R"({"task":"t","chat_id":1})", R"({"task":"t","chat_id":"a b"})",
                           R"({"task":""})", R"({})"}) {
    INFO(body);
    CHECK(std::get<dialects::Problem>(step_stream::parse_run_body(body, kLimits)).status == 422);
  }
}

TEST_CASE("accepted messages and run steps as bodies") {
  CHECK(step_stream::accepted_body("c1", {{"m"}, {7, 3}, false}, "accepted") ==
        R"({"message_id":"m","chat_id":"c1","seq":3,"cursor":"7-3","status":"accepted"})");
  std::string out;
  step_stream::append_run_step(out, StepType::planning, "p");
  CHECK(out == R"({"step_type":"PlanningStep","content":"p"})");
}

TEST_CASE("a message id has 1 to 128 bytes of text") {
  CHECK(step_stream::valid_message_id("a b/\xd8\xb9"));
  CHECK(step_stream::valid_message_id(std::string(128, 'x')));
  CHECK(!step_stream::valid_message_id(std::string(129, 'x')));
  CHECK(!step_stream::valid_message_id(""));
  CHECK(!step_stream::valid_message_id("\x7f"));
  CHECK(!step_stream::valid_message_id("\xff"));
}
