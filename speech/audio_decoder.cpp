#include "speech/audio_decoder.h"

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavutil/channel_layout.h>
#include <libavutil/frame.h>
#include <libavutil/log.h>
#include <libavutil/mem.h>
}

namespace parlance::speech {
namespace {

// More is no speech, and libav's buffers grow with it.
constexpr int kChannelsMax = 8;
constexpr int kRateMax = 384'000;

}  // namespace

void AudioDecoder::FreeContext::operator()(AVCodecContext* context) const {
  avcodec_free_context(&context);
}

void AudioDecoder::FreeFrame::operator()(AVFrame* frame) const {
  av_frame_free(&frame);
}

void AudioDecoder::prepare() {
  for (const AVCodecID id : {AV_CODEC_ID_AAC, AV_CODEC_ID_FLAC, AV_CODEC_ID_MP3, AV_CODEC_ID_OPUS,
                             AV_CODEC_ID_PCM_S16LE}) {
    const AVCodec* const codec = avcodec_find_decoder(id);
    const std::unique_ptr<AVCodecContext, FreeContext> context(avcodec_alloc_context3(codec));
    if (codec == nullptr || !context) continue;
    av_channel_layout_default(&context->ch_layout, 1);
    context->sample_rate = 48'000;
    context->thread_count = 1;
    // One that does not open without a file's parameters is opened with them later.
    avcodec_open2(context.get(), codec, nullptr);
  }
}

Heard<AudioDecoder> AudioDecoder::open(const AVCodecParameters& parameters) {
  const AVCodec* const codec = avcodec_find_decoder(parameters.codec_id);
  if (codec == nullptr) return Outcome::unknown_coding;
  AudioDecoder decoder;
  decoder.context_.reset(avcodec_alloc_context3(codec));
  decoder.frame_.reset(av_frame_alloc());
  if (!decoder.context_ || !decoder.frame_) return Outcome::too_complex;
  AVCodecContext& context = *decoder.context_;
  if (avcodec_parameters_to_context(&context, &parameters) < 0) return Outcome::broken;
  if (context.ch_layout.nb_channels < 1 || context.ch_layout.nb_channels > kChannelsMax ||
      context.sample_rate < 1 || context.sample_rate > kRateMax) {
    return Outcome::broken;
  }
  context.thread_count = 1;
  context.codec_whitelist = av_strdup(kDecoders);
  const int opened = avcodec_open2(&context, codec, nullptr);
  // What is not on the list is refused as an invalid argument, before the codec sees anything.
  if (opened == AVERROR(EINVAL)) return Outcome::unknown_coding;
  if (opened < 0) return opened == AVERROR(ENOMEM) ? Outcome::too_complex : Outcome::broken;
  return decoder;
}

bool AudioDecoder::decode(const AVPacket* packet, const OnFrame& on_frame) {
  if (avcodec_send_packet(context_.get(), packet) < 0) return false;
  for (;;) {
    const int got = avcodec_receive_frame(context_.get(), frame_.get());
    if (got == AVERROR(EAGAIN) || got == AVERROR_EOF) return true;
    if (got < 0) return false;
    if (frame_->nb_samples > 0 && frame_->sample_rate > 0 &&
        frame_->ch_layout.nb_channels <= kChannelsMax) {
      on_frame(*frame_);
    }
    av_frame_unref(frame_.get());
  }
}

void AudioDecoder::restart() {
  avcodec_flush_buffers(context_.get());
}

}  // namespace parlance::speech
