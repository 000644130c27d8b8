// Whole audio files: type detection, and the demuxers and decoders of libav behind it.

#include <cstddef>
#include <cstdint>

#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"
#include "speech/audio_probe.h"

using namespace parlance::speech;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const parlance::confined::TypeDetector detector =
      parlance::confined::TypeDetector::load().value();
  constexpr std::chrono::seconds kAudioMax{60};
  const int file = memfd_create("audio_fuzz", MFD_CLOEXEC);
  CHECK(file >= 0);
  CHECK(write(file, data, size) == static_cast<ssize_t>(size));
  const Probe probe = probe_audio(detector, file, size, kAudioMax);
  close(file);
  CHECK(probe.outcome != Outcome::piece);
  if (probe.outcome != Outcome::done) return 0;
  CHECK(probe.type.starts_with("audio/"));
  CHECK(probe.duration >= std::chrono::seconds(0));
  CHECK(probe.duration <= kAudioMax);
  return 0;
}
