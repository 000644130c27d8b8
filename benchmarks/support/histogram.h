#pragma once
// A log-linear histogram with three significant digits, laid out as HdrHistogram does: values below
// 2048 are counted exactly, each further power of two in 1024 equal steps. Recording is a shift and
// an increment. Units are the caller's (nanoseconds everywhere here). Merging two gives what
// recording into one would have.

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

namespace parlance::benchmarks {

class Histogram {
 public:
  /// Larger values are counted in the last bucket; max() stays exact. About 18 minutes of
  /// nanoseconds.
  static constexpr int64_t kValueMax = (int64_t{1} << 40) - 1;

  /// Counts `value`; negative ones count as 0.
  void record(int64_t value) {
    if (counts_.empty()) counts_.resize(kBuckets);
    value = std::max<int64_t>(value, 0);
    ++counts_[bucket_of(std::min(value, kValueMax))];
    ++count_;
    sum_ += static_cast<double>(value);
    min_ = count_ == 1 ? value : std::min(min_, value);
    max_ = std::max(max_, value);
  }

  void merge(const Histogram& other) {
    if (other.count_ == 0) return;
    if (counts_.empty()) counts_.resize(kBuckets);
    for (size_t i = 0; i < kBuckets; ++i) counts_[i] += other.counts_[i];
    min_ = count_ == 0 ? other.min_ : std::min(min_, other.min_);
    max_ = std::max(max_, other.max_);
    count_ += other.count_;
    sum_ += other.sum_;
  }

  /// The smallest recorded value (to three digits) that at least `percent` of all values do not
  /// exceed; 0 when empty. `percent` is 0 to 100.
  int64_t percentile(double percent) const {
    if (count_ == 0) return 0;
    const double wanted = std::ceil(percent / 100 * static_cast<double>(count_));
    const auto rank = std::clamp<uint64_t>(static_cast<uint64_t>(wanted), 1, count_);
    uint64_t seen = 0;
    for (size_t i = 0; i < kBuckets; ++i) {
      seen += counts_[i];
      if (seen >= rank) return std::clamp(highest_in(i), min_, max_);
    }
    return max_;
  }

  uint64_t count() const { return count_; }
  int64_t min() const { return min_; }
  int64_t max() const { return max_; }
  double mean() const { return count_ == 0 ? 0 : sum_ / static_cast<double>(count_); }

  /// Calls `visit(highest value, count)` for each filled bucket, in order: the whole spectrum.
  template <class Visit>
  void for_each_bucket(Visit visit) const {
    for (size_t i = 0; i < counts_.size(); ++i) {
      if (counts_[i] > 0) visit(highest_in(i), counts_[i]);
    }
  }

 private:
  static constexpr uint64_t kExact = 2'048;
  static constexpr uint64_t kSteps = kExact / 2;
  static constexpr int kStepBits = 10;
  static constexpr size_t kBuckets = kExact + (40 - kStepBits - 1) * kSteps;

  static size_t bucket_of(int64_t value) {
    const auto v = static_cast<uint64_t>(value);
    if (v < kExact) return v;
    const int shift = static_cast<int>(std::bit_width(v)) - 1 - kStepBits;
    return kExact + static_cast<size_t>(shift - 1) * kSteps + ((v >> shift) - kSteps);
  }

  /// The highest value that is counted in bucket `index`.
  static int64_t highest_in(size_t index) {
    if (index < kExact) return static_cast<int64_t>(index);
    const uint64_t shift = (index - kExact) / kSteps + 1;
    const uint64_t step = (index - kExact) % kSteps + kSteps;
    return static_cast<int64_t>(((step + 1) << shift) - 1);
  }

  std::vector<uint64_t> counts_;
  uint64_t count_ = 0;
  double sum_ = 0;
  int64_t min_ = 0;
  int64_t max_ = 0;
};

}  // namespace parlance::benchmarks
