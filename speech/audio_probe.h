// How long an audio file really is, and whether it plays: every packet is counted, the first
// seconds and the last packets are decoded. Runs in the confined process, on its only thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "confined/type_detector.h"
#include "speech/audio_file.h"

struct AVPacket;
struct AVStream;

namespace parlance::speech {

/// How long the packets counted so far play: the longer of what they last together and of the time
/// from the first to the last, since headers lie and pauses may be left out.
class PacketClock {
 public:
  explicit PacketClock(const AVStream& stream) : stream_(stream) {}

  void count(const AVPacket& packet);
  std::int64_t packets() const { return packets_; }
  std::chrono::milliseconds duration() const;

 private:
  const AVStream& stream_;
  std::int64_t packets_ = 0;
  std::int64_t sum_ = 0;
  std::int64_t first_ = 0;
  std::int64_t last_ = 0;
  bool timed_ = false;
};

struct Probe {
  Outcome outcome = Outcome::broken;
  std::string type;  ///< As AudioFile::open gives it.
  std::chrono::milliseconds duration{0};
};

/// Does once what the libraries do at their first file, such as fetching their code, for a process
/// that waits for its file. Before confine().
void prepare_probe(const confined::TypeDetector& detector);

/// Never throws but std::bad_alloc.
Probe probe_audio(const confined::TypeDetector& detector, int descriptor, std::uint64_t size,
                  std::chrono::seconds audio_max);

}  // namespace parlance::speech
