// Voice messages: heard, answered, spoken, each step durable before the next.
#include <memory>
#include <string>
#include <utility>
#include <variant>

#include <catch2/catch.hpp>

#include "agent/turn.h"
#include "tests/unit/agent/test_tools.h"

namespace parlance::agent {
namespace {

const Audio recording{"019a9a40-0001-7d33-a111-111111111111", "audio/ogg", 9'000,
                      std::chrono::milliseconds(2'000)};
const Audio speech{"019a9a40-0002-7d33-a222-222222222222", "audio/mpeg", 12'345,
                   std::chrono::milliseconds(1'500)};

VoiceInput said(std::string answer = {}) {
  return {recording, "ar", "digest", {}, std::move(answer)};
}

/// A turn on a voice message of a session with the agent "Guide", whose voice is "echo".
struct Fixture {
  Options options;
  Toolbox toolbox = test::echo_toolbox();
  std::unique_ptr<Turn> turn;
  Effects last;

  Effects& begin(const VoiceInput& voice, std::string text = {},
                 std::vector<StepRecorded> steps = {}) {
    Turn::Start start{{"m"}, std::move(text), {}, std::move(steps), {}};
    start.of_agent = true;
    start.voice = std::make_shared<const VoiceInput>(voice);
    turn = std::make_unique<Turn>(std::move(start), options, toolbox);
    turn->begin();
    AgentSettings agent;
    agent.name = "Guide";
    agent.prompt = "You are a guide.";
    agent.voice = "echo";
    return step(AgentFound{std::move(agent)});
  }
  Effects& step(Input input) { return last = turn->step(std::move(input)); }
  Effects& hear(const std::string& text) { return step(Transcribed{text, "an ear"}); }
  Effects& answer(const std::string& text) {
    return step(AnswerArrived{{text, {}, {5, 7}, "stop"}});
  }
  Effects& durable() { return step(StepDurable{}); }
  /// Up to the effect that asks for speech.
  void reach_speech() {
    begin(said());
    hear("question");
    durable();
    answer("reply");
    durable();
  }

  template <class T>
  const T& only() const {
    REQUIRE(last.size() == 1);
    REQUIRE(std::holds_alternative<T>(last.front()));
    return std::get<T>(last.front());
  }
  const StepRecorded& recorded_step(std::size_t events = 1) const {
    const auto& events_of = only<Record>().events;
    REQUIRE(events_of.size() == events);
    REQUIRE(std::holds_alternative<StepRecorded>(events_of.front()));
    return std::get<StepRecorded>(events_of.front());
  }
};

TEST_CASE("a voice message is heard before a model is called") {
  Fixture f;
  f.begin(said());
  CHECK(f.only<Transcribe>().audio == recording);
  CHECK(f.only<Transcribe>().language == "ar");
}

TEST_CASE("what was heard is durable before a model reads it as the user's text") {
  Fixture f;
  f.begin(said());
  f.hear("question");
  CHECK(f.recorded_step().type == StepType::transcript);
  CHECK(f.recorded_step().text == "question");
  CHECK(f.recorded_step().engine == "an ear");
  f.durable();
  const auto& messages = f.only<CallModel>().request->messages;
  CHECK(messages.back().role == Role::user);
  CHECK(messages.back().text == "question");
}

TEST_CASE("a recording without words ends the run as the message's own fault") {
  Fixture f;
  f.begin(said());
  f.hear("");
  const auto& events = f.only<Record>().events;
  REQUIRE(events.size() == 1);
  CHECK(std::get<RunFailed>(events.front()).code == Errc::unprocessable);
  CHECK(f.turn->ended());
}

TEST_CASE("an answer to a voice message is durable before it is spoken") {
  Fixture f;
  f.begin(said());
  f.hear("question");
  f.durable();
  f.answer("reply");
  CHECK(f.recorded_step().type == StepType::final_answer);
  CHECK_FALSE(f.turn->ended());
  f.durable();
  CHECK(f.only<Speak>().text == "reply");
  CHECK(f.only<Speak>().voice == "echo");
}

TEST_CASE("the run of a voice message ends together with what was spoken") {
  Fixture f;
  f.reach_speech();
  f.step(Spoken{speech, "a voice"});
  const StepRecorded& step = f.recorded_step(2);
  CHECK(step.type == StepType::audio);
  CHECK(step.audio == speech);
  CHECK(step.engine == "a voice");
  CHECK(step.text == "audio/mpeg, 1.5 s, 12345 bytes, spoken by a voice");
  const auto& end = std::get<RunEnded>(f.only<Record>().events.back());
  CHECK(end.outcome == RunOutcome::completed);
  CHECK(end.usage == ModelUsage{5, 7});
  CHECK(f.turn->ended());
}

TEST_CASE("a failure to speak keeps the answer and adds no second one") {
  Fixture f;
  f.reach_speech();
  f.step(SpeechFailed{Errc::unavailable, "no voice"});
  const auto& events = f.only<Record>().events;
  REQUIRE(events.size() == 1);
  CHECK(std::get<RunFailed>(events.front()).error == "the answer could not be spoken: no voice");
}

TEST_CASE("a failure to hear says which step failed") {
  Fixture f;
  f.begin(said());
  f.step(SpeechFailed{Errc::unavailable, "no ear"});
  CHECK(std::get<RunFailed>(f.only<Record>().events.front()).error ==
        "the recording could not be heard: no ear");
}

TEST_CASE("a message that was heard before is not heard again") {
  Fixture f;
  f.begin(said(), "question");
  CHECK(f.only<CallModel>().request->messages.back().text == "question");
}

TEST_CASE("a message that was answered before is only spoken, its answer recorded again") {
  Fixture f;
  f.begin(said("reply"), "question");
  CHECK(f.recorded_step().type == StepType::final_answer);
  CHECK(f.recorded_step().text == "reply");
  f.durable();
  CHECK(f.only<Speak>().text == "reply");
}

TEST_CASE("after a crash a message goes on from its transcript") {
  Fixture f;
  f.begin(said(), {}, {StepRecorded{{"m"}, StepType::transcript, "question", {}, {}}});
  CHECK(f.only<CallModel>().request->messages.back().text == "question");
}

TEST_CASE("after a crash an answer that is durable is spoken, and not recorded again") {
  Fixture f;
  f.begin(said(), {},
          {StepRecorded{{"m"}, StepType::transcript, "question", {}, {}},
           StepRecorded{{"m"}, StepType::final_answer, "reply", {}, {}}});
  CHECK(f.only<Speak>().text == "reply");
}

TEST_CASE("a cancel ends what is heard or spoken") {
  Fixture f;
  const bool speaking = GENERATE(false, true);
  CAPTURE(speaking);
  if (speaking) {
    f.reach_speech();
  } else {
    f.begin(said());
  }
  f.step(CancelAsked{});
  REQUIRE(f.last.size() == 2);
  CHECK(std::holds_alternative<AbandonSpeech>(f.last.front()));
  const auto& events = std::get<Record>(f.last.back()).events;
  REQUIRE(events.size() == 1);
  CHECK(std::get<RunEnded>(events.front()).outcome == RunOutcome::cancelled);
}

TEST_CASE("what speech comes to after its run has ended is not heard of") {
  Fixture f;
  f.reach_speech();
  f.step(CancelAsked{});
  CHECK(f.step(Spoken{speech, "a voice"}).empty());
  CHECK(f.step(SpeechFailed{Errc::unavailable, "late"}).empty());
}

TEST_CASE("the exchange of a voice message is its texts") {
  Fixture f;
  f.reach_speech();
  f.step(Spoken{speech, "a voice"});
  const auto exchange = f.turn->exchange();
  REQUIRE(exchange.size() == 2);
  CHECK(exchange[0].text == "question");
  CHECK(exchange[1].text == "reply");
}

}  // namespace
}  // namespace parlance::agent
