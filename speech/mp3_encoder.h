// Samples of one channel into MP3 with LAME, 64 kbit/s, without a header that would need the end.
// Runs in the confined process, on its only thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"

struct lame_global_struct;

namespace parlance::speech {

class Mp3Encoder {
 public:
  /// Errors: unavailable (LAME refuses the rate).
  static Result<Mp3Encoder> open(int rate);

  /// The bytes that are finished with these samples: live until the next call, may be none.
  std::string_view encode(std::span<const std::int16_t> samples);

  /// The rest. Call it once, at the end.
  std::string_view finish();

 private:
  struct Close {
    void operator()(lame_global_struct* lame) const;
  };
  explicit Mp3Encoder(lame_global_struct* lame) : lame_(lame) {}
  std::string_view made(int bytes) const;

  std::unique_ptr<lame_global_struct, Close> lame_;
  std::vector<unsigned char> bytes_;
};

}  // namespace parlance::speech
