// The passages of ONE session for ONE tool, found by words (BM25) and by vectors (cosine), the two
// joined by reciprocal rank.
// Owned by whoever answers that session's questions; not thread-safe. Nothing here does I/O.
//
// One index per owner is how the owner's filter is inside the search: there is nothing of others
// in it that could be found and then left out. (Debian's hnswlib, 0.6.2, has no filter.)
//
// Invariants: the search for vectors is exact up to `exact_vector_bytes_max` of them, and finds at
// least 98 of 100 of the ten nearest past it; the search for words is always exact. A passage
// without words or with a vector of zeros is found by the other alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "rag/options.h"

namespace parlance::rag {

/// The relevance from which a passage is held to be about the question, when no model is there to
/// judge: more than a third of what the question asks for is in it.
inline constexpr float kRelevant = 0.3F;

struct Hit {
  std::uint64_t key = 0;
  double score = 0;     ///< The sum of 1 / (60 + rank) over both rankings; for this search only.
  float distance = 0;   ///< 1 - cosine, 0 to 2; 1 where a vector is all zeros.
  float relevance = 0;  ///< 0 to 1: the share of the question's terms in the passage, rarer ones
                        ///< weighing more, and a little of the cosine. Comparable between searches.
};

class PassageIndex {
 public:
  PassageIndex(std::size_t dimensions, const Options& options);
  ~PassageIndex();
  PassageIndex(PassageIndex&&) noexcept;
  PassageIndex& operator=(PassageIndex&&) noexcept;

  /// Adds a passage: `key` is the caller's and new, `vector` of any length but the index's
  /// dimensions, `terms` what terms_of made. On other errors than internal nothing was added.
  /// Errors: invalid_argument (other dimensions, or a number that is not finite), corrupted
  /// (`terms`), resource_exhausted (16,777,216 passages), internal (the graph; throw the index
  /// away then).
  Status add(std::uint64_t key, std::span<const float> vector, std::string_view terms);

  /// At most `count` passages, best first. `query` is the question's text, in valid UTF-8.
  /// Errors: invalid_argument as for `add`, internal.
  Result<std::vector<Hit>> search(std::string_view query, std::span<const float> query_vector,
                                  std::size_t count) const;

  std::size_t size() const;

  /// About: for the limit of a cache.
  std::size_t bytes() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace parlance::rag
