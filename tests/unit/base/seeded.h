// Randomness for tests: a seed that is printed, and can be given again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <string_view>

namespace parlance::test {

/// A generator whose seed is printed at once, so that it is known even after a crash. Set
/// PARLANCE_TEST_SEED to repeat a run.
class Seeded {
 public:
  explicit Seeded(const char* what) {
    const char* given = std::getenv("PARLANCE_TEST_SEED");
    seed_ = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
    std::printf("%s: PARLANCE_TEST_SEED=%llu\n", what, static_cast<unsigned long long>(seed_));
    std::fflush(stdout);
    generator_.seed(seed_);
  }

  std::uint64_t seed() const { return seed_; }

  /// A number below `bound`, which is not 0.
  std::uint64_t below(std::uint64_t bound) { return generator_() % bound; }
  bool one_in(std::uint64_t n) { return below(n) == 0; }
  std::uint64_t any() { return generator_(); }

  template <std::size_t N>
  std::string_view one_of(const std::string_view (&choices)[N]) {
    return choices[below(N)];
  }

  /// Up to `pieces_max` pieces of valid UTF-8 of every length, both directions, and everything that
  /// JSON has to escape.
  std::string text(std::size_t pieces_max) {
    constexpr std::string_view kPieces[] = {
        "a",      "Z",     " ",       "\"",     "\\",     "/",       "\n",        "\r",
        "\t",     "\b",    "\f",      "\x01",   "\x1f",   "\x7f",    "é",         "ß",
        "السلام", "عليكم", "كِتَابٌ",    "؟",      "٣",      "\u200f",  "\u2028",    "日本",
        "🙂",   "𝄞",     "e\u0301", "\ufeff", "\uffff", "{\"a\":", "</script>", "0"};
    std::string out;
    for (std::uint64_t left = below(pieces_max + 1); left > 0; --left) out += one_of(kPieces);
    if (one_in(8)) out += std::string_view("\0", 1);
    return out;
  }

 private:
  std::uint64_t seed_ = 0;
  std::mt19937_64 generator_;
};

}  // namespace parlance::test
