#include "speech/synthesizer.h"

#include <algorithm>
#include <array>

#include <espeak-ng/speak_lib.h>
#include <unicode/utf8.h>

namespace parlance::speech {
namespace {

constexpr int kPieceMs = 200;
// In the middle of a sentence espeak-ng loads the rules of another alphabet's language, which it
// cannot once confined, and does not survive. These two are what is spoken here.
constexpr const char* kBothAlphabets = "Hello, مرحبا.";

struct Block {
  UChar32 first;
  UChar32 last;
};
// By block, as espeak-ng chooses languages: even a full stop of Hindi would have it load Hindi.
constexpr std::array<Block, 9> kSpoken = {{{0x20, 0x36f},     // Latin, combining marks
                                           {0x600, 0x6ff},    // Arabic
                                           {0x750, 0x77f},    // Arabic Supplement
                                           {0x8a0, 0x8ff},    // Arabic Extended-A
                                           {0x1e00, 0x1eff},  // Latin Extended Additional
                                           {0x2000, 0x2125},  // punctuation, symbols; the ohm sign
                                           {0x2127, 0x2bff},  // is a Greek letter to it
                                           {0xfb50, 0xfeff},  // Arabic presentation forms
                                           {0x1f000, 0x1faff}}};  // emoji

bool speakable(UChar32 c) {
  // Other control characters would begin one of espeak-ng's commands.
  if (c == '\n') return true;
  return std::any_of(kSpoken.begin(), kSpoken.end(),
                     [c](const Block& block) { return c >= block.first && c <= block.last; });
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
