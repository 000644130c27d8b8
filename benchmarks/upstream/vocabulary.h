#pragma once
// The words that the simulated model says: a fixed ring of words drawn by the seed, ready as the
// inside of a JSON string. An answer is a run of the ring, so that one seed and one question give
// the same answer.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace parlance::benchmarks {

class Vocabulary {
 public:
  explicit Vocabulary(uint64_t seed);

  /// Where the answer to `question` begins.
  uint64_t start_of(std::string_view question) const;

  /// The `index`-th token from `start`: a word with a space before it, but for the first of an
  /// answer.
  std::string_view token(uint64_t start, uint64_t index) const {
    const std::string& word = words_[(start + index) % words_.size()];
    return std::string_view(word).substr(index == 0 ? 1 : 0);
  }

 private:
  uint64_t seed_;
  std::vector<std::string> words_;  // each begins with a space
};

/// A well-mixed 64-bit number from `value` (SplitMix64's finaliser).
uint64_t mix(uint64_t value);

/// The 64-bit FNV-1a hash of `text`.
uint64_t hash_of(std::string_view text);

}  // namespace parlance::benchmarks
