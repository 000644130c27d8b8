#include "base/uuid.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/digest.h"
#include "base/mutex.h"
#include "base/random.h"

namespace parlance {
namespace {

constexpr std::uint64_t kTimeMask = (std::uint64_t{1} << 48) - 1;
constexpr std::uint64_t kCounterMax = 0xfff;

/// `counter` is of 12 bits; of `rest` the low 62 are taken.
std::string to_text(std::uint64_t ms, std::uint64_t counter, std::uint64_t rest) {
  const std::uint64_t variant = (rest & 0x3fff'ffff'ffff'ffffULL) | 0x8000'0000'0000'0000ULL;
  ms &= kTimeMask;
  return fmt::format("{:08x}-{:04x}-7{:03x}-{:04x}-{:012x}", ms >> 16, ms & 0xffff, counter,
                     variant >> 48, variant & kTimeMask);
}

/// Where the next one of this process is: its time and its number within that.
class Sequence {
 public:
  struct Place {
    std::uint64_t ms = 0;
    std::uint64_t counter = 0;
  };

  Place next(std::uint64_t now, std::uint64_t random) {
    const MutexLock lock(mutex_);
    if (now > last_.ms) {
      // Half of the numbers are kept for those that follow within the same millisecond.
      last_ = {now, random & (kCounterMax >> 1)};
    } else if (last_.counter < kCounterMax) {
      ++last_.counter;
    } else {
      last_ = {last_.ms + 1, random & (kCounterMax >> 1)};
    }
    return last_;
  }

 private:
  Mutex mutex_;
  Place last_ PARLANCE_ANNOTATE(guarded_by(mutex_));
};

bool is_hex(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

}  // namespace

std::string uuid7() {
  static Sequence sequence;
  const std::uint64_t random = random_u64();
  const auto now = static_cast<std::uint64_t>(std::max<std::int64_t>(0, wall_now().ms));
  const Sequence::Place place = sequence.next(now, random_u64());
  return to_text(place.ms, place.counter, random);
}

std::string derived_uuid7(WallTime time, std::string_view name, std::uint64_t seq) {
  const std::string digest = sha256(fmt::format("{}\n{}", seq, name));
  std::uint64_t rest = 0;
  for (std::size_t i = 0; i < 8; ++i) rest = rest << 8 | static_cast<unsigned char>(digest[i]);
  const auto ms = static_cast<std::uint64_t>(std::max<std::int64_t>(0, time.ms));
  return to_text(ms, seq & kCounterMax, rest);
}

bool is_uuid(std::string_view text) noexcept {
  if (text.size() != 36) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? text[i] != '-' : !is_hex(text[i])) return false;
  }
  return true;
}

}  // namespace parlance
