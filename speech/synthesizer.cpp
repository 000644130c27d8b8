#include "speech/synthesizer.h"

#include <espeak-ng/speak_lib.h>
#include <unicode/uscript.h>
#include <unicode/utf8.h>

namespace parlance::speech {
namespace {

constexpr int kPieceMs = 200;
// In the middle of a sentence espeak-ng loads the rules of another alphabet's language, which it
// cannot once confined, and does not survive. These two are what is spoken here.
constexpr const char* kBothAlphabets = "Hello, مرحبا.";

bool speakable(UChar32 c) {
  // A control character would begin one of espeak-ng's commands.
  if (c < 0x20) return c == '\n';
  UErrorCode error = U_ZERO_ERROR;
  const UScriptCode script = uscript_getScript(c, &error);
  return script == USCRIPT_LATIN || script == USCRIPT_ARABIC || script == USCRIPT_COMMON ||
         script == USCRIPT_INHERITED;
}

/// `text` with a space for what is of other alphabets.
std::string speakable(const std::string& text) {
  std::string plain;
  plain.reserve(text.size());
  const auto size = static_cast<std::int32_t>(text.size());
  for (std::int32_t i = 0; i < size;) {
    const std::int32_t start = i;
    UChar32 c = 0;
    U8_NEXT(text.data(), i, size, c);
    if (speakable(c)) {
      plain.append(text, start, i - start);
    } else {
      plain += ' ';
    }
  }
  return plain;
}

int pass_on(short* samples, int count, espeak_EVENT* events) {
  if (samples == nullptr || count <= 0) return 0;
  const auto& on_samples = *static_cast<const Synthesizer::OnSamples*>(events->user_data);
  return on_samples({samples, static_cast<std::size_t>(count)}) ? 0 : 1;
}

}  // namespace

Result<Synthesizer> Synthesizer::load(const char* voice) {
  const int rate =
      espeak_Initialize(AUDIO_OUTPUT_SYNCHRONOUS, kPieceMs, nullptr, espeakINITIALIZE_DONT_EXIT);
  if (rate <= 0) return Error{Errc::unavailable, "cannot load the data of espeak-ng"};
  espeak_SetSynthCallback(&pass_on);
  if (espeak_SetVoiceByName(voice) != EE_OK) {
    return Error{Errc::unavailable, std::string("espeak-ng has no voice ") + voice};
  }
  Synthesizer synthesizer(rate);
  if (!synthesizer.speak(kBothAlphabets, [](auto) { return true; })) {
    return Error{Errc::unavailable, std::string("espeak-ng cannot speak with the voice ") + voice};
  }
  return synthesizer;
}

bool Synthesizer::speak(const std::string& text, const OnSamples& on_samples) {
  bool wanted = true;
  const OnSamples pass = [&](std::span<const std::int16_t> samples) {
    wanted = wanted && on_samples(samples);
    return wanted;
  };
  const std::string plain = speakable(text);
  const espeak_ERROR spoken =
      espeak_Synth(plain.c_str(), plain.size() + 1, 0, POS_CHARACTER, 0,
                   espeakCHARS_UTF8 | espeakENDPAUSE, nullptr, const_cast<OnSamples*>(&pass));
  return spoken == EE_OK && wanted;
}

}  // namespace parlance::speech
