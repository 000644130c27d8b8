// An audio file into what is said in it: decoded, resampled to what the recogniser hears, and
// heard piece by piece. Runs in the confined process, on its only thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "confined/type_detector.h"
#include "speech/audio_file.h"
#include "speech/recognizer.h"

namespace parlance::speech {

struct Transcription {
  Outcome outcome = Outcome::broken;
  std::string type;  ///< As AudioFile::open gives it.
  std::string text;  ///< With `done`; empty for silence.
};

/// Never throws but std::bad_alloc.
Transcription transcribe_audio(Recognizer& recognizer, const confined::TypeDetector& detector,
                               int descriptor, std::uint64_t size, std::chrono::seconds audio_max);

}  // namespace parlance::speech
