#include "speech/recognizer.h"

#include <algorithm>
#include <utility>

#include <pocketsphinx.h>
#include <sphinxbase/err.h>

namespace parlance::speech {
namespace {

constexpr const char* kModel = PARLANCE_SPHINX_MODELS "/en-us/en-us";
constexpr const char* kLanguageModel = PARLANCE_SPHINX_MODELS "/en-us/en-us.lm.bin";
constexpr const char* kDictionary = PARLANCE_SPHINX_MODELS "/en-us/cmudict-en-us.dict";
// Between two pieces it is seen whether somebody still speaks.
constexpr std::size_t kPieceSamples = 2'048;

}  // namespace

void Recognizer::Free::operator()(ps_decoder_s* decoder) const {
  ps_free(decoder);
}

Result<Recognizer> Recognizer::load() {
  // PocketSphinx reports what it recognises to its log, and an open log is a descriptor.
  err_set_logfp(nullptr);
  cmd_ln_t* const settings = cmd_ln_init(nullptr, ps_args(), 1, "-hmm", kModel, "-lm",
                                         kLanguageModel, "-dict", kDictionary, nullptr);
  if (settings == nullptr) return Error{Errc::unavailable, "cannot set up PocketSphinx"};
  Recognizer recognizer(ps_init(settings));
  cmd_ln_free_r(settings);
  if (!recognizer.decoder_) {
    return Error{Errc::unavailable, "cannot load PocketSphinx's English model"};
  }
  return recognizer;
}

bool Recognizer::hear(std::span<const std::int16_t> samples) {
  while (!samples.empty()) {
    if (!listening_ && ps_start_utt(decoder_.get()) < 0) return false;
    listening_ = true;
    const auto piece = samples.first(std::min(samples.size(), kPieceSamples));
    if (ps_process_raw(decoder_.get(), piece.data(), piece.size(), 0, 0) < 0) return false;
    samples = samples.subspan(piece.size());
    // A sentence ends with a pause; one over everything would take memory without end.
    const bool speaking = ps_get_in_speech(decoder_.get()) != 0;
    if (spoken_ && !speaking && !end_sentence()) return false;
    spoken_ = speaking;
  }
  return true;
}

std::string Recognizer::finish() {
  if (listening_) end_sentence();
  return std::move(text_);
}

bool Recognizer::end_sentence() {
  listening_ = false;
  if (ps_end_utt(decoder_.get()) < 0) return false;
  const char* const sentence = ps_get_hyp(decoder_.get(), nullptr);
  if (sentence == nullptr || *sentence == '\0') return true;
  if (!text_.empty()) text_ += ' ';
  text_ += sentence;
  return true;
}

}  // namespace parlance::speech
