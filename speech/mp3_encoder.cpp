#include "speech/mp3_encoder.h"

#include <lame/lame.h>

namespace parlance::speech {
namespace {

constexpr int kKilobits = 64;
// LAME's own bound: 1.25 times the samples, and this for what it holds back.
constexpr std::size_t kBytesBeyond = 7'200;

}  // namespace

void Mp3Encoder::Close::operator()(lame_global_struct* lame) const {
  lame_close(lame);
}

Result<Mp3Encoder> Mp3Encoder::open(int rate) {
  Mp3Encoder encoder(lame_init());
  lame_t const lame = encoder.lame_.get();
  if (lame == nullptr) return Error{Errc::unavailable, "cannot start LAME"};
  lame_set_in_samplerate(lame, rate);
  lame_set_out_samplerate(lame, rate);
  lame_set_num_channels(lame, 1);
  lame_set_mode(lame, MONO);
  lame_set_brate(lame, kKilobits);
  lame_set_bWriteVbrTag(lame, 0);
  lame_set_write_id3tag_automatic(lame, 0);
  if (lame_init_params(lame) < 0) return Error{Errc::unavailable, "cannot set up LAME"};
  return encoder;
}

std::string_view Mp3Encoder::encode(std::span<const std::int16_t> samples) {
  bytes_.resize(samples.size() + samples.size() / 4 + kBytesBeyond);
  return made(lame_encode_buffer(lame_.get(), samples.data(), samples.data(),
                                 static_cast<int>(samples.size()), bytes_.data(),
                                 static_cast<int>(bytes_.size())));
}

std::string_view Mp3Encoder::finish() {
  bytes_.resize(kBytesBeyond);
  return made(lame_encode_flush(lame_.get(), bytes_.data(), static_cast<int>(bytes_.size())));
}

std::string_view Mp3Encoder::made(int bytes) const {
  if (bytes <= 0) return {};
  return {reinterpret_cast<const char*>(bytes_.data()), static_cast<std::size_t>(bytes)};
}

}  // namespace parlance::speech
