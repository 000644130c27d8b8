#include "schemas/codec.h"

#include <string>
#include <string_view>

#include <catch2/catch.hpp>

#include "tests/unit/schemas/random_event.h"

namespace parlance {
namespace {

using namespace std::string_view_literals;

TEST_CASE("an event has the bytes that docs/formats.md shows") {
  const Event event = MessageAccepted{{"m1"}, "hi", OnBusy::queue};
  CHECK(encode(event, {300}) == "\x01\x01\xac\x02\x00\x02m1\x02hi"sv);
}

TEST_CASE("a message that runs another again has the bytes that docs/formats.md shows") {
  const Event event = MessageAccepted{{"m2"}, "hi", OnBusy::queue, {"m1"}};
  const std::string bytes = encode(event, {300});
  CHECK(bytes == "\x01\x07\xac\x02\x00\x02m2\x02hi\x02m1"sv);
  CHECK(std::get<MessageAccepted>(decode(bytes)->event).retry_of.text == "m1");
  CHECK_FALSE(decode("\x01\x07\xac\x02\x00\x02m2\x02hi\x00"sv).has_value());
}

TEST_CASE("a voice message has the bytes that docs/formats.md shows") {
  MessageAccepted message{{"m1"}, "", OnBusy::queue};
  message.voice = std::make_shared<const VoiceInput>(
      VoiceInput{{"n", "audio/ogg", 300, std::chrono::milliseconds(5)}, "ar", "d", "", ""});
  const std::string bytes = encode(message, {300});
  CHECK(bytes ==
        "\x01\x08\xac\x02\x00\x02m1\x00\x00\x01n\x09"
        "audio/ogg\xac\x02\x05\x02"
        "ar\x01"
        "d\x00\x00"sv);
  const auto decoded = decode(bytes);
  REQUIRE(decoded.has_value());
  CHECK(*std::get<MessageAccepted>(decoded->event).voice == *message.voice);
}

TEST_CASE("a step of a voice message has the bytes that docs/formats.md shows") {
  StepRecorded step{{"m1"}, StepType::audio, "ok", {}, {}};
  step.engine = "e";
  step.audio = {"n", "audio/mpeg", 300, std::chrono::milliseconds(5)};
  const std::string bytes = encode(step, {1});
  CHECK(bytes ==
        "\x01\x09\x01\x05\x02m1\x02ok\x00\x00\x01"
        "e\x01n\x0a"
        "audio/mpeg\xac\x02\x05"sv);
  const auto decoded = decode(bytes);
  REQUIRE(decoded.has_value());
  CHECK(std::get<StepRecorded>(decoded->event).audio == step.audio);
}

TEST_CASE("a step is of a voice message by its kind, not by its type alone") {
  CHECK_FALSE(decode("\x01\x02\x01\x04\x02m1\x02ok\x00\x00"sv).has_value());
  CHECK_FALSE(decode("\x01\x09\x01\x02\x02m1\x02ok\x00\x00\x00\x00\x00\x00\x00"sv).has_value());
}

TEST_CASE("a step has the bytes that docs/formats.md shows") {
  const Event event =
      StepRecorded{{"m1"}, StepType::action, "ok", {{"c", "t", "{}"}}, {{"c", "t", "no", true}}};
  CHECK(encode(event, {1}) ==
        "\x01\x02\x01\x01\x02m1\x02ok\x01\x01"
        "c\x01t\x02{}\x01\x01\x01"
        "c\x01t\x02no"sv);
}

TEST_CASE("the ends of a run have the bytes that docs/formats.md shows") {
  CHECK(encode(RunEnded{{"m1"}, RunOutcome::cancelled, {7, 300}}, {1}) ==
        "\x01\x03\x01\x01\x02m1\x07\xac\x02"sv);
  CHECK(encode(RunFailed{{"m1"}, "why", Errc::unavailable, {0, 0}}, {1}) ==
        "\x01\x04\x01\x08\x02m1\x03why\x00\x00"sv);
}

TEST_CASE("every event survives encoding and decoding") {
  test::Seeded random("every event survives encoding and decoding");
  for (int i = 0; i < 3'000; ++i) {
    const Event event = test::random_event(random);
    const WallTime time{static_cast<std::int64_t>(test::random_number(random))};
    const std::string bytes = encode(event, time);
    INFO("seed " << random.seed() << " event " << i);
    const auto decoded = decode(bytes);
    REQUIRE(decoded.has_value());
    REQUIRE(decoded->time == time);
    REQUIRE(decoded->event.index() == event.index());
    // The encoding has one form only, so equal bytes are an equal event.
    REQUIRE(encode(decoded->event, decoded->time) == bytes);
  }
}

TEST_CASE("the fields of a decoded event are those that were encoded") {
  const Event event = StepRecorded{{"m"},
                                   StepType::planning,
                                   "نص",
                                   {{"1", "calculator", "{}"}},
                                   {{"1", "calculator", "4", true}}};
  const auto decoded = decode(encode(event, {5}));
  REQUIRE(decoded.has_value());
  const auto& step = std::get<StepRecorded>(decoded->event);
  CHECK(step.message_id.text == "m");
  CHECK(step.type == StepType::planning);
  CHECK(step.text == "نص");
  CHECK(step.tool_calls == std::get<StepRecorded>(event).tool_calls);
  CHECK(step.tool_results == std::get<StepRecorded>(event).tool_results);
}

TEST_CASE("an event that is cut short is corrupted, wherever it is cut") {
  test::Seeded random("an event that is cut short is corrupted");
  for (int i = 0; i < 200; ++i) {
    const std::string bytes = encode(test::random_event(random), {1});
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      // A copy of its own, so that a read past its end is seen.
      const std::string cut = bytes.substr(0, size);
      INFO("seed " << random.seed() << " event " << i << " cut at " << size);
      const auto decoded = decode(cut);
      REQUIRE_FALSE(decoded.has_value());
      REQUIRE(decoded.error().code == Errc::corrupted);
    }
  }
}

TEST_CASE("a mutated event is corrupted or another event with one encoding") {
  test::Seeded random("a mutated event is corrupted or another event");
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes = encode(test::random_event(random), {1});
    for (std::uint64_t left = 1 + random.below(3); left > 0 && !bytes.empty(); --left) {
      const std::size_t at = random.below(bytes.size());
      switch (random.below(3)) {
        case 0:
          bytes[at] = static_cast<char>(random.any());
          break;
        case 1:
          bytes.erase(at, 1);
          break;
        default:
          bytes.insert(at, 1, static_cast<char>(random.any()));
      }
    }
    INFO("seed " << random.seed() << " mutation " << i);
    const auto decoded = decode(bytes);
    if (!decoded) {
      REQUIRE(decoded.error().code == Errc::corrupted);
      continue;
    }
    const auto again = decode(encode(decoded->event, decoded->time));
    REQUIRE(again.has_value());
    REQUIRE(again->event.index() == decoded->event.index());
  }
}

TEST_CASE("bytes after an event are corrupted") {
  CHECK_FALSE(decode(encode(RunEnded{{"m"}, RunOutcome::completed, {}}, {1}) + '\0').has_value());
}

TEST_CASE("a value out of its enumeration is corrupted") {
  // on_busy, step type, outcome, code, a result's failed.
  const std::string_view bytes = GENERATE("\x01\x01\x01\x04\x01m\x00"sv,          //
                                          "\x01\x02\x01\x04\x01m\x00\x00\x00"sv,  //
                                          "\x01\x03\x01\x02\x01m\x00\x00"sv,      //
                                          "\x01\x04\x01\x10\x01m\x00\x00\x00"sv,  //
                                          "\x01\x02\x01\x01\x01m\x00\x00\x01\x02\x00\x00\x00"sv);
  CHECK_FALSE(decode(bytes).has_value());
}

TEST_CASE("an unknown version or kind is corrupted") {
  CHECK_FALSE(decode("\x02\x03\x01\x00\x01m\x00\x00"sv).has_value());
  CHECK_FALSE(decode("\x01\x08\x01\x00\x01m\x00\x00"sv).has_value());
}

TEST_CASE("a length beyond the bytes is corrupted and allocates nothing") {
  CHECK_FALSE(decode("\x01\x01\x01\x00\xff\xff\xff\xff\xff\xff\xff\xff\x7f"sv).has_value());
}

TEST_CASE("a number of more than 64 bits is corrupted") {
  // The tenth byte of a number holds its last bit only.
  CHECK(decode("\x01\x03\x01\x00\x01m\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00"sv).has_value());
  CHECK_FALSE(
      decode("\x01\x03\x01\x00\x01m\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02\x00"sv).has_value());
  CHECK_FALSE(decode("\x01\x03\x01\x00\x01m\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x00\x00"sv)
                  .has_value());
}

TEST_CASE("the ends of a run are terminal and nothing else is") {
  CHECK(is_terminal(RunEnded{}));
  CHECK(is_terminal(RunFailed{}));
  CHECK_FALSE(is_terminal(MessageAccepted{}));
  CHECK_FALSE(is_terminal(StepRecorded{}));
}

TEST_CASE("every event knows its message") {
  for (const Event& event :
       {Event(MessageAccepted{{"m"}, "", {}}), Event(StepRecorded{{"m"}, {}, "", {}, {}}),
        Event(RunEnded{{"m"}, {}, {}}), Event(RunFailed{{"m"}, "", {}, {}})}) {
    CHECK(message_of(event).text == "m");
  }
}

}  // namespace
}  // namespace parlance
