#include "speech/audio_probe.h"

#include <algorithm>
#include <deque>
#include <limits>
#include <memory>
#include <utility>

#include <sys/mman.h>
#include <unistd.h>

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/mathematics.h>
}

#include "confined/descriptor_io.h"
#include "speech/audio_decoder.h"

namespace parlance::speech {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kHeadDuration{2'000};
constexpr std::size_t kSilenceBytes = 100'000;
constexpr std::size_t kTailPackets = 8;
// Damage is forgiven up to this share of the packets that are decoded.
constexpr int kDamagedOneIn = 4;
// Packets of one coding differ by less than this in what they hold.
constexpr int kLieFactor = 2;

struct FreePacket {
  void operator()(AVPacket* packet) const { av_packet_free(&packet); }
};
using Packet = std::unique_ptr<AVPacket, FreePacket>;

std::int64_t saturating_add(std::int64_t a, std::int64_t b) {
  std::int64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? std::numeric_limits<std::int64_t>::max() : sum;
}

/// Decodes the packets it is shown that lie at the ends of the file.
class Trial {
 public:
  explicit Trial(AudioDecoder& decoder) : decoder_(decoder) {}

  void show(Packet packet) {
    if (decoded() < kHeadDuration && packets_ < kHeadPacketsMax) {
      decode(*packet);
      return;
    }
    tail_.push_back(std::move(packet));
    if (tail_.size() > kTailPackets) tail_.pop_front();
  }

  void finish() {
    decoder_.decode(nullptr, on_frame_);
    if (tail_.empty()) return;
    decoder_.restart();
    for (const Packet& packet : tail_) decode(*packet);
    decoder_.decode(nullptr, on_frame_);
  }

  bool plays() const { return samples_ > 0 && damaged_ * kDamagedOneIn <= packets_; }

  /// What `packets` would last if all were like those decoded.
  milliseconds estimate(std::int64_t packets) const {
    if (packets_ == 0) return milliseconds(0);
    return milliseconds(av_rescale(decoded().count(), packets, packets_));
  }

 private:
  static constexpr std::int64_t kHeadPacketsMax = 1'000;

  milliseconds decoded() const {
    return milliseconds(rate_ > 0 ? av_rescale(samples_, 1'000, rate_) : 0);
  }
  void decode(const AVPacket& packet) {
    ++packets_;
    if (!decoder_.decode(&packet, on_frame_)) ++damaged_;
  }

  AudioDecoder& decoder_;
  std::int64_t packets_ = 0;
  std::int64_t damaged_ = 0;
  std::int64_t samples_ = 0;
  int rate_ = 0;
  std::deque<Packet> tail_;
  AudioDecoder::OnFrame on_frame_ = [this](const AVFrame& frame) {
    samples_ += frame.nb_samples;
    rate_ = frame.sample_rate;
  };
};

Outcome probe_packets(AudioFile& file, milliseconds audio_max, milliseconds& duration) {
  auto decoder = AudioDecoder::open(*file.stream().codecpar);
  if (!decoder) return decoder.error();
  PacketClock clock(file.stream());
  Trial trial(*decoder);
  for (;;) {
    Packet packet(av_packet_alloc());
    if (!packet) return Outcome::too_complex;
    const AudioFile::Next next = file.read(*packet);
    if (next == AudioFile::Next::broken) return Outcome::broken;
    if (next == AudioFile::Next::end) break;
    clock.count(*packet);
    if (clock.duration() > audio_max) return Outcome::too_long;
    trial.show(std::move(packet));
  }
  trial.finish();
  if (!trial.plays()) return Outcome::not_playable;
  duration = clock.duration();
  // Vorbis has packets of very different lengths, so its times are believed.
  const milliseconds estimate = trial.estimate(clock.packets());
  const bool even = file.stream().codecpar->codec_id != AV_CODEC_ID_VORBIS;
  if (even && estimate > duration * kLieFactor) duration = estimate;
  return duration > audio_max ? Outcome::too_long : Outcome::done;
}

}  // namespace

void PacketClock::count(const AVPacket& packet) {
  ++packets_;
  const std::int64_t duration = std::max<std::int64_t>(packet.duration, 0);
  sum_ = saturating_add(sum_, duration);
  const std::int64_t time = packet.pts != AV_NOPTS_VALUE ? packet.pts : packet.dts;
  if (time == AV_NOPTS_VALUE) return;
  const std::int64_t end = saturating_add(time, duration);
  first_ = timed_ ? std::min(first_, time) : time;
  last_ = timed_ ? std::max(last_, end) : end;
  timed_ = true;
}

milliseconds PacketClock::duration() const {
  std::int64_t span = 0;
  if (__builtin_sub_overflow(last_, first_, &span)) span = std::numeric_limits<std::int64_t>::max();
  // Saturates; libav gives INT64_MIN where the result does not fit.
  const std::int64_t ms =
      av_rescale_q(std::max(sum_, span), stream_.time_base, AVRational{1, 1'000});
  return milliseconds(ms < 0 ? std::numeric_limits<std::int64_t>::max() / 1'000'000 : ms);
}

void prepare_probe(const confined::TypeDetector& detector) {
  AudioDecoder::prepare();
  const int file = memfd_create("silence", MFD_CLOEXEC);
  if (file < 0) return;
  // PCM of 16 bits, one channel, 16 kHz; lengths that are not known are all ones.
  std::string wav(
      "RIFF\xff\xff\xff\xffWAVEfmt "
      "\x10\0\0\0\1\0\1\0\x80\x3e\0\0\0\x7d\0\0\2\0\x10\0data\xff\xff\xff\xff",
      44);
  wav.resize(kSilenceBytes);
  if (confined::write_all(file, wav.data(), wav.size())) {
    probe_audio(detector, file, wav.size(), std::chrono::seconds(60));
  }
  close(file);
}

Probe probe_audio(const confined::TypeDetector& detector, int descriptor, std::uint64_t size,
                  std::chrono::seconds audio_max) {
  Probe probe;
  auto file = AudioFile::open(detector, descriptor, size, probe.type);
  probe.outcome = file ? probe_packets(*file, audio_max, probe.duration) : file.error();
  return probe;
}

}  // namespace parlance::speech
