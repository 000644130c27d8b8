// PocketSphinx with its English model. Loaded before the process confines itself; then used on its
// only thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"

struct ps_decoder_s;

namespace parlance::speech {

class Recognizer {
 public:
  static constexpr int kRate = 16'000;  ///< Samples a second that it hears, of one channel.

  /// Errors: unavailable (the model is missing or broken).
  static Result<Recognizer> load();

  /// Hears the next samples. False after an error of PocketSphinx.
  bool hear(std::span<const std::int16_t> samples);

  /// What was said in all that was heard; empty for silence. Call it once, at the end.
  std::string finish();

 private:
  struct Free {
    void operator()(ps_decoder_s* decoder) const;
  };
  explicit Recognizer(ps_decoder_s* decoder) : decoder_(decoder) {}
  bool end_sentence();

  std::unique_ptr<ps_decoder_s, Free> decoder_;
  bool listening_ = false;
  bool spoken_ = false;
  std::string text_;
};

}  // namespace parlance::speech
