// Random recorded events, with every field at its edges now and then.
#pragma once

#include <chrono>
#include <memory>

#include "schemas/event.h"
#include "tests/unit/base/seeded.h"

namespace parlance::test {

inline std::uint64_t random_number(Seeded& random) {
  return random.any() >> random.below(64);
}

inline ModelUsage random_usage(Seeded& random) {
  return {random_number(random), random_number(random)};
}

inline Audio random_audio(Seeded& random) {
  return {random.text(3), random.text(9), random_number(random),
          std::chrono::milliseconds(random.below(1'000'000))};
}

inline Event random_event(Seeded& random) {
  const MessageId id{random.text(3)};
  switch (random.below(8)) {
    case 6: {
      MessageAccepted message{id, random.text(20), static_cast<OnBusy>(random.below(4))};
      if (random.one_in(2)) message.retry_of = {random.text(3)};
      message.voice = std::make_shared<const VoiceInput>(VoiceInput{
          random_audio(random), random.text(2), random.text(9), random.text(3), random.text(9)});
      return message;
    }
    case 7: {
      StepRecorded step{
          id, random.one_in(2) ? StepType::transcript : StepType::audio, random.text(20), {}, {}};
      step.engine = random.text(4);
      step.audio = random_audio(random);
      return step;
    }
    case 0:
      return MessageAccepted{id, random.text(20), static_cast<OnBusy>(random.below(4))};
    case 1: {
      StepRecorded step{id, static_cast<StepType>(random.below(4)), random.text(20), {}, {}};
      for (std::uint64_t left = random.below(4); left > 0; --left) {
        step.tool_calls.push_back({random.text(2), random.text(2), random.text(9)});
      }
      for (std::uint64_t left = random.below(4); left > 0; --left) {
        step.tool_results.push_back(
            {random.text(2), random.text(2), random.text(9), random.one_in(2)});
      }
      return step;
    }
    case 2:
      return RunEnded{id, static_cast<RunOutcome>(random.below(2)), random_usage(random)};
    case 3:
      return LifecycleChanged{static_cast<LifecycleState>(random.below(5))};
    case 4:
      return DocumentsStored{random_number(random),
                             random.text(9),
                             {random.text(2)},
                             {random.text(3), random.text(3)}};
    default:
      return RunFailed{id, random.text(9), static_cast<Errc>(random.below(15)),
                       random_usage(random)};
  }
}

}  // namespace parlance::test
