// Packets of one audio stream into samples. Runs in the confined process, on its only thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "speech/audio_file.h"

struct AVCodecContext;
struct AVCodecParameters;
struct AVFrame;
struct AVPacket;

namespace parlance::speech {

/// The decoders that are used, by their names in libav and with commas between them.
inline constexpr const char* kDecoders =
    "aac,alac,flac,mp3,mp3float,opus,vorbis,pcm_s16le,pcm_s24le,pcm_s32le,pcm_u8,pcm_f32le,"
    "pcm_f64le,pcm_alaw,pcm_mulaw,adpcm_ms,adpcm_ima_wav,gsm_ms";

class AudioDecoder {
 public:
  using OnFrame = std::function<void(const AVFrame&)>;

  /// Makes libav compute now the tables that a decoder computes when it is first opened.
  static void prepare();

  /// Refuses: unknown_coding, broken (parameters that its decoder refuses).
  static Heard<AudioDecoder> open(const AVCodecParameters& parameters);

  /// Decodes `packet`; nullptr for what is left at the end. False when it is damaged.
  bool decode(const AVPacket* packet, const OnFrame& on_frame);

  /// Forgets what came before, to go on with packets of another place.
  void restart();

 private:
  struct FreeContext {
    void operator()(AVCodecContext* context) const;
  };
  struct FreeFrame {
    void operator()(AVFrame* frame) const;
  };
  AudioDecoder() = default;
  std::unique_ptr<AVCodecContext, FreeContext> context_;
  std::unique_ptr<AVFrame, FreeFrame> frame_;
};

}  // namespace parlance::speech
