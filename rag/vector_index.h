// The nearest of one session's vectors by cosine: exact up to a number of vectors, a graph (HNSW)
// past it. Part of a PassageIndex; not thread-safe.
//
// Vectors are numbered from 0 in the order of `add` (slots). Past `exact_max` each `add` moves two
// of the older vectors into the graph until all are there, and what is not yet is searched exactly:
// so no single `add` builds a graph, and nothing is missed meanwhile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"

namespace parlance::rag {

class VectorIndex {
 public:
  struct Near {
    std::uint32_t slot = 0;
    float distance = 0;  ///< 1 - cosine.
  };

  VectorIndex(std::size_t dimensions, std::size_t exact_max);
  ~VectorIndex();
  VectorIndex(VectorIndex&&) noexcept;
  VectorIndex& operator=(VectorIndex&&) noexcept;

  /// `vector` must have length 1. Errors: internal (the graph's library).
  Status add(std::span<const float> vector);

  /// At most `count` vectors, nearest first. `query` must have length 1. Errors: as for `add`.
  Result<std::vector<Near>> nearest(std::span<const float> query, std::size_t count) const;

  float distance(std::span<const float> query, std::uint32_t slot) const;

  std::size_t size() const;
  std::size_t bytes() const;

 private:
  class Graph;

  const float* at(std::uint32_t slot) const;
  Status move_to_graph();

  std::size_t dimensions_;
  std::size_t exact_max_;
  std::unique_ptr<Graph> graph_;  // The first slots; null while there are few.
  std::vector<float> rest_;       // The slots after those.
  std::size_t rest_begin_ = 0;    // Of `rest_`, in slots: what is before has moved already.
};

}  // namespace parlance::rag
