// Which passages of one session hold which terms: BM25, and how much of a question a passage holds.
// Part of a PassageIndex; not thread-safe.
//
// Lists of its own, because Xapian's database in memory takes 78 KB for a passage of 1,000 words,
// and this about 4: a node keeps many sessions. Terms are compared by a hash of 64 bits; a
// collision would cost a wrong passage. Passages are numbered from 0 in the order of `add`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "rag/terms.h"

namespace parlance::rag {

class TermIndex {
 public:
  static constexpr std::size_t kPassagesMax = 1 << 24;

  struct Scored {
    std::uint32_t passage = 0;
    float score = 0;
  };

  /// A question's terms as looked up once. Valid until the next `add`.
  class Query;

  /// There must be less than kPassagesMax passages.
  void add(std::span<const Term> terms);

  /// Of a long question only the terms count that tell passages apart best.
  Query look_up(std::span<const Term> terms) const;

  /// At most `count` passages that have any term of the question, best first; the earlier one
  /// among equals.
  std::vector<Scored> rank(const Query& query, std::size_t count) const;

  /// The share of the question's terms that `passage` has, the rarer ones weighing more; 0 to 1.
  float coverage(const Query& query, std::uint32_t passage) const;

  std::size_t size() const { return lengths_.size(); }
  std::size_t bytes() const;

 private:
  struct Posting {
    std::uint32_t passage : 24;
    std::uint32_t count : 8;  // 255 for more, which BM25 hardly tells apart.
  };
  using Postings = std::vector<Posting>;

  std::unordered_map<std::uint64_t, Postings> postings_;
  std::vector<std::uint32_t> lengths_;  // Of each passage, in terms.
  std::uint64_t length_sum_ = 0;
  std::size_t postings_count_ = 0;
};

class TermIndex::Query {
 private:
  friend class TermIndex;
  struct Entry {
    const Postings* postings = nullptr;  // Null for a term that no passage has.
    float rarity = 0;                    // As BM25 weighs it.
    float weight = 0;                    // As coverage does.
  };
  std::vector<Entry> entries_;
};

}  // namespace parlance::rag
