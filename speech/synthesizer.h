// espeak-ng with one voice. Loaded before the process confines itself; then used on its only
// thread. There is one in a process, as espeak-ng keeps its state in globals.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "base/result.h"

namespace parlance::speech {

class Synthesizer {
 public:
  /// Says whether to go on.
  using OnSamples = std::function<bool(std::span<const std::int16_t> samples)>;

  /// `voice`: "en" or "ar". Errors: unavailable (espeak-ng or its data is missing).
  static Result<Synthesizer> load(const char* voice);

  int rate() const { return rate_; }  ///< Samples a second, of one channel.

  /// Speaks `text`, UTF-8, as it stands: nothing in it is a command. Letters that are neither Latin
  /// nor Arabic are passed over. False when espeak-ng fails or `on_samples` ends it.
  bool speak(const std::string& text, const OnSamples& on_samples);

 private:
  explicit Synthesizer(int rate) : rate_(rate) {}
  int rate_;
};

}  // namespace parlance::speech
