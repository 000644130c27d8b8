#include "speech/transcription.h"

#include <memory>
#include <vector>

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/channel_layout.h>
#include <libavutil/frame.h>
#include <libswresample/swresample.h>
}

#include "speech/audio_decoder.h"
#include "speech/audio_probe.h"

namespace parlance::speech {
namespace {

struct FreePacket {
  void operator()(AVPacket* packet) const { av_packet_free(&packet); }
};

/// Frames into samples of one channel at the recogniser's rate. Made anew when their form changes,
/// as it may in the middle of a file.
class Resampler {
 public:
  /// The samples that came out; they live until the next call. Empty with !works().
  std::span<const std::int16_t> convert(const AVFrame& frame) {
    if (!fits(frame) && !set_up(frame)) return {};
    const int room = swr_get_out_samples(swr_.get(), frame.nb_samples);
    if (room < 0) return fail();
    samples_.resize(static_cast<std::size_t>(room));
    auto* out = reinterpret_cast<std::uint8_t*>(samples_.data());
    auto** const in = const_cast<const std::uint8_t**>(frame.extended_data);
    const int got = swr_convert(swr_.get(), &out, room, in, frame.nb_samples);
    if (got < 0) return fail();
    return std::span(samples_).first(static_cast<std::size_t>(got));
  }
  bool works() const { return works_; }

 private:
  struct Free {
    void operator()(SwrContext* swr) const { swr_free(&swr); }
  };

  bool fits(const AVFrame& frame) const {
    return swr_ && rate_ == frame.sample_rate && format_ == frame.format &&
           channels_ == frame.ch_layout.nb_channels;
  }

  bool set_up(const AVFrame& frame) {
    rate_ = frame.sample_rate;
    format_ = frame.format;
    channels_ = frame.ch_layout.nb_channels;
    // By number of channels: a layout out of the file may be of an order that is not mixed down.
    AVChannelLayout in;
    av_channel_layout_default(&in, channels_);
    AVChannelLayout out;
    av_channel_layout_default(&out, 1);
    SwrContext* swr = nullptr;
    const int made = swr_alloc_set_opts2(&swr, &out, AV_SAMPLE_FMT_S16, Recognizer::kRate, &in,
                                         static_cast<AVSampleFormat>(format_), rate_, 0, nullptr);
    swr_.reset(swr);
    works_ = made >= 0 && swr_init(swr_.get()) >= 0;
    return works_;
  }

  std::span<const std::int16_t> fail() {
    works_ = false;
    return {};
  }

  std::unique_ptr<SwrContext, Free> swr_;
  std::vector<std::int16_t> samples_;
  int rate_ = 0;
  int format_ = -1;
  int channels_ = 0;
  bool works_ = true;
};

class Listening {
 public:
  Listening(Recognizer& recognizer, AudioFile& file, AudioDecoder& decoder,
            std::chrono::seconds audio_max)
      : recognizer_(recognizer),
        file_(file),
        decoder_(decoder),
        samples_left_(audio_max.count() * Recognizer::kRate) {}

  Outcome run() {
    const std::unique_ptr<AVPacket, FreePacket> packet(av_packet_alloc());
    if (!packet) return Outcome::too_complex;
    for (;;) {
      const AudioFile::Next next = file_.read(*packet);
      if (next == AudioFile::Next::broken) return Outcome::broken;
      if (next == AudioFile::Next::end) break;
      // Damaged packets are left out; how many may be was the probe's business.
      decoder_.decode(packet.get(), on_frame_);
      av_packet_unref(packet.get());
      if (outcome_ != Outcome::done) return outcome_;
    }
    decoder_.decode(nullptr, on_frame_);
    if (outcome_ != Outcome::done) return outcome_;
    return heard_anything_ ? Outcome::done : Outcome::not_playable;
  }

 private:
  void hear(const AVFrame& frame) {
    if (outcome_ != Outcome::done) return;
    const auto samples = resampler_.convert(frame);
    heard_anything_ = true;
    samples_left_ -= static_cast<std::int64_t>(samples.size());
    if (!resampler_.works()) {
      outcome_ = Outcome::not_playable;
    } else if (samples_left_ < 0) {
      outcome_ = Outcome::too_long;
    } else if (!recognizer_.hear(samples)) {
      outcome_ = Outcome::failed;
    }
  }

  Recognizer& recognizer_;
  AudioFile& file_;
  AudioDecoder& decoder_;
  std::int64_t samples_left_;
  Resampler resampler_;
  bool heard_anything_ = false;
  Outcome outcome_ = Outcome::done;
  AudioDecoder::OnFrame on_frame_ = [this](const AVFrame& frame) { hear(frame); };
};

}  // namespace

Transcription transcribe_audio(Recognizer& recognizer, const confined::TypeDetector& detector,
                               int descriptor, std::uint64_t size, std::chrono::seconds audio_max) {
  Transcription result;
  auto file = AudioFile::open(detector, descriptor, size, result.type);
  if (!file) {
    result.outcome = file.error();
    return result;
  }
  auto decoder = AudioDecoder::open(*file->stream().codecpar);
  if (!decoder) {
    result.outcome = decoder.error();
    return result;
  }
  result.outcome = Listening(recognizer, *file, *decoder, audio_max).run();
  if (result.outcome == Outcome::done) result.text = recognizer.finish();
  return result;
}

}  // namespace parlance::speech
