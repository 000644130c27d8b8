#include "rag/hashing_embedder.h"

#include <cmath>
#include <string>

#include "rag/hash.h"
#include "rag/terms.h"

namespace parlance::rag {
namespace {

/// Of all trigrams of a word together, beside the word itself.
constexpr float kTrigramsWeight = 0.25F;

// A word's features are told apart from its parts by this first byte, which no text has.
constexpr char kWholeWord = '\x01';

void add_feature(std::vector<float>& vector, std::string_view feature, float weight) {
  const std::uint64_t hash = stable_hash(feature);
  const float sign = (hash >> 63) != 0 ? 1.0F : -1.0F;
  vector[hash % kHashedDimensions] += sign * weight;
}

/// Where each code point of `word` begins, and its end.
std::vector<std::size_t> code_points(std::string_view word) {
  std::vector<std::size_t> begins;
  begins.reserve(word.size() + 1);
  for (std::size_t i = 0; i < word.size(); ++i) {
    if ((static_cast<unsigned char>(word[i]) & 0xc0) != 0x80) begins.push_back(i);
  }
  begins.push_back(word.size());
  return begins;
}

}  // namespace

std::vector<float> embed_by_hashing(std::string_view text) {
  std::vector<float> vector(kHashedDimensions);
  for (const Term& term : terms_in(text)) {
    const float weight = 1 + std::log(static_cast<float>(term.count));
    add_feature(vector, kWholeWord + term.text, weight);

    const std::string marked = "^" + term.text + "$";
    const std::vector<std::size_t> begins = code_points(marked);
    if (begins.size() < 4) continue;
    const std::size_t trigrams = begins.size() - 3;
    const float share = kTrigramsWeight * weight / std::sqrt(static_cast<float>(trigrams));
    for (std::size_t i = 0; i < trigrams; ++i) {
      const std::string_view trigram(marked.data() + begins[i], begins[i + 3] - begins[i]);
      add_feature(vector, trigram, share);
    }
  }
  double squares = 0;
  for (const float x : vector) squares += static_cast<double>(x) * x;
  if (squares == 0) return vector;
  const auto scale = static_cast<float>(1 / std::sqrt(squares));
  for (float& x : vector) x *= scale;
  return vector;
}

}  // namespace parlance::rag
