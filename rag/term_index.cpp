#include "rag/term_index.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "rag/hash.h"

namespace parlance::rag {
namespace {

// BM25's usual constants: how soon repetition stops counting, how much length does.
constexpr float kSaturation = 1.2F;
constexpr float kLengthWeight = 0.75F;

constexpr std::size_t kQueryTermsMax = 64;
constexpr std::uint32_t kCountMax = 255;

/// Passages that are assumed to be there besides, so that in a handful of passages a term is not
/// called rare or common by chance.
constexpr double kPriorPassages = 8;

}  // namespace

void TermIndex::add(std::span<const Term> terms) {
  CHECK(lengths_.size() < kPassagesMax);
  const auto passage = static_cast<std::uint32_t>(lengths_.size());
  std::uint32_t length = 0;
  for (const Term& term : terms) {
    Postings& postings = postings_[stable_hash(term.text)];
    // Two terms of one hash are one.
    if (!postings.empty() && postings.back().passage == passage) continue;
    postings.push_back({passage, std::min(term.count, kCountMax)});
    length += term.count;
    ++postings_count_;
  }
  lengths_.push_back(length);
  length_sum_ += length;
}

TermIndex::Query TermIndex::look_up(std::span<const Term> terms) const {
  const auto passages = static_cast<double>(lengths_.size());
  Query query;
  query.entries_.reserve(terms.size());
  for (const Term& term : terms) {
    const auto found = postings_.find(stable_hash(term.text));
    const Postings* const postings = found == postings_.end() ? nullptr : &found->second;
    const double having = postings == nullptr ? 0 : static_cast<double>(postings->size());
    query.entries_.push_back(
        {postings, static_cast<float>(std::log(1 + (passages - having + 0.5) / (having + 0.5))),
         static_cast<float>(1 +
                            std::log((passages + kPriorPassages) / (having + kPriorPassages)))});
  }
  if (query.entries_.size() > kQueryTermsMax) {
    const auto middle = query.entries_.begin() + kQueryTermsMax;
    std::nth_element(query.entries_.begin(), middle, query.entries_.end(),
                     [](const Query::Entry& a, const Query::Entry& b) {
                       return (a.postings != nullptr) != (b.postings != nullptr)
                                  ? a.postings != nullptr
                                  : a.rarity > b.rarity;
                     });
    query.entries_.resize(kQueryTermsMax);
  }
  return query;
}

std::vector<TermIndex::Scored> TermIndex::rank(const Query& query, std::size_t count) const {
  const float length_mean =
      std::max(1.0F, static_cast<float>(length_sum_) / static_cast<float>(lengths_.size()));
  std::vector<float> scores(lengths_.size());
  for (const Query::Entry& entry : query.entries_) {
    if (entry.postings == nullptr) continue;
    for (const Posting posting : *entry.postings) {
      const auto times = static_cast<float>(posting.count);
      const float length = static_cast<float>(lengths_[posting.passage]) / length_mean;
      const float norm = kSaturation * (1 - kLengthWeight + kLengthWeight * length);
      scores[posting.passage] += entry.rarity * times * (kSaturation + 1) / (times + norm);
    }
  }
  std::vector<Scored> ranked;
  for (std::uint32_t i = 0; i < scores.size(); ++i) {
    if (scores[i] > 0) ranked.push_back({i, scores[i]});
  }
  count = std::min(count, ranked.size());
  const auto end = ranked.begin() + static_cast<std::ptrdiff_t>(count);
  std::partial_sort(ranked.begin(), end, ranked.end(), [](const Scored& a, const Scored& b) {
    return a.score != b.score ? a.score > b.score : a.passage < b.passage;
  });
  ranked.resize(count);
  return ranked;
}

float TermIndex::coverage(const Query& query, std::uint32_t passage) const {
  float had = 0;
  float all = 0;
  for (const Query::Entry& entry : query.entries_) {
    all += entry.weight;
    if (entry.postings == nullptr) continue;
    const auto found = std::lower_bound(
        entry.postings->begin(), entry.postings->end(), passage,
        [](Posting posting, std::uint32_t wanted) { return posting.passage < wanted; });
    if (found != entry.postings->end() && found->passage == passage) had += entry.weight;
  }
  return all > 0 ? had / all : 0;
}

std::size_t TermIndex::bytes() const {
  // A node of the map with its bucket and list, and lists that are three quarters full on average.
  constexpr std::size_t kTermBytes = 80;
  return postings_.size() * kTermBytes + postings_count_ * sizeof(Posting) * 4 / 3 +
         lengths_.capacity() * sizeof(lengths_[0]);
}

}  // namespace parlance::rag
