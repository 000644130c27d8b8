#include "rag/passage_index.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <unordered_map>

#include <fmt/format.h>

#include "base/check.h"
#include "rag/term_index.h"
#include "rag/terms.h"
#include "rag/vector_index.h"

namespace parlance::rag {
namespace {

constexpr double kRankOffset = 60;

/// Of each ranking, how much is joined: what is far down in one may be first in the other.
constexpr std::size_t kRankedMin = 50;

/// How much of relevance is the cosine; the rest is terms. Little, because what a cosine means
/// depends on the model that made the vectors.
constexpr float kCosineWeight = 0.2F;

constexpr std::uint32_t kNoVector = std::numeric_limits<std::uint32_t>::max();

/// `vector` of length 1; empty when it is all zeros.
Result<std::vector<float>> unit_vector(std::span<const float> vector, std::size_t dimensions) {
  if (vector.size() != dimensions) {
    return Error{Errc::invalid_argument, fmt::format("a vector of {} dimensions where {} are used",
                                                     vector.size(), dimensions)};
  }
  double squares = 0;
  for (const float x : vector) squares += static_cast<double>(x) * x;
  if (!std::isfinite(squares)) {
    return Error{Errc::invalid_argument, "a vector with a number that is not finite"};
  }
  std::vector<float> unit;
  if (squares == 0) return unit;
  unit.reserve(dimensions);
  const double scale = 1 / std::sqrt(squares);
  for (const float x : vector) unit.push_back(static_cast<float>(x * scale));
  return unit;
}

}  // namespace

struct PassageIndex::Impl {
  Impl(std::size_t dimensions_used, const Options& options)
      : dimensions(dimensions_used),
        vectors(dimensions_used,
                options.exact_vector_bytes_max / (dimensions_used * sizeof(float))) {}

  Hit make_hit(std::uint32_t passage, double score, const TermIndex::Query& question,
               std::span<const float> unit) const {
    const bool has_distance = !unit.empty() && slots[passage] != kNoVector;
    const float distance =
        has_distance ? std::clamp(vectors.distance(unit, slots[passage]), 0.0F, 2.0F) : 1.0F;
    const float cosine = std::max(0.0F, 1 - distance);
    const float relevance =
        (1 - kCosineWeight) * terms.coverage(question, passage) + kCosineWeight * cosine;
    return {keys[passage], score, distance, relevance};
  }

  const std::size_t dimensions;
  TermIndex terms;
  VectorIndex vectors;
  std::vector<std::uint64_t> keys;           // By passage.
  std::vector<std::uint32_t> slots;          // By passage, its vector.
  std::vector<std::uint32_t> slot_passages;  // By vector, its passage.
};

PassageIndex::PassageIndex(std::size_t dimensions, const Options& options)
    : impl_(std::make_unique<Impl>(dimensions, options)) {
  CHECK(dimensions > 0);
}
PassageIndex::~PassageIndex() = default;
PassageIndex::PassageIndex(PassageIndex&&) noexcept = default;
PassageIndex& PassageIndex::operator=(PassageIndex&&) noexcept = default;

Status PassageIndex::add(std::uint64_t key, std::span<const float> vector, std::string_view terms) {
  Impl& index = *impl_;
  if (index.keys.size() == TermIndex::kPassagesMax) {
    return Error{Errc::resource_exhausted,
                 fmt::format("an index of {} passages is full", TermIndex::kPassagesMax)};
  }
  const auto unit = unit_vector(vector, index.dimensions);
  if (!unit) return unit.error();
  const auto counted = read_terms(terms);
  if (!counted) return counted.error();

  const auto passage = static_cast<std::uint32_t>(index.keys.size());
  if (!unit->empty()) {
    const Status added = index.vectors.add(*unit);
    if (!added) return added.error();
    index.slots.push_back(static_cast<std::uint32_t>(index.slot_passages.size()));
    index.slot_passages.push_back(passage);
  } else {
    index.slots.push_back(kNoVector);
  }
  index.terms.add(*counted);
  index.keys.push_back(key);
  return {};
}

Result<std::vector<Hit>> PassageIndex::search(std::string_view query,
                                              std::span<const float> query_vector,
                                              std::size_t count) const {
  const Impl& index = *impl_;
  const auto unit = unit_vector(query_vector, index.dimensions);
  if (!unit) return unit.error();
  count = std::min(count, index.keys.size());
  if (count == 0) return std::vector<Hit>();
  const std::size_t ranked = std::max(kRankedMin, 2 * count);

  std::unordered_map<std::uint32_t, double> scores;
  const auto add_rank = [&](std::uint32_t passage, std::size_t rank) {
    scores[passage] += 1 / (kRankOffset + static_cast<double>(rank));
  };
  const TermIndex::Query question = index.terms.look_up(terms_in(query));
  std::size_t rank = 0;
  for (const auto& scored : index.terms.rank(question, ranked)) add_rank(scored.passage, ++rank);
  if (!unit->empty()) {
    const auto near = index.vectors.nearest(*unit, ranked);
    if (!near) return near.error();
    rank = 0;
    for (const auto& one : *near) add_rank(index.slot_passages[one.slot], ++rank);
  }

  std::vector<std::pair<std::uint32_t, double>> joined(scores.begin(), scores.end());
  count = std::min(count, joined.size());
  std::partial_sort(joined.begin(), joined.begin() + static_cast<std::ptrdiff_t>(count),
                    joined.end(), [](const auto& a, const auto& b) {
                      return a.second != b.second ? a.second > b.second : a.first < b.first;
                    });
  std::vector<Hit> hits;
  hits.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    hits.push_back(index.make_hit(joined[i].first, joined[i].second, question, *unit));
  }
  return hits;
}

std::size_t PassageIndex::size() const {
  return impl_->keys.size();
}

std::size_t PassageIndex::bytes() const {
  const Impl& index = *impl_;
  return index.terms.bytes() + index.vectors.bytes() +
         index.keys.capacity() * sizeof(index.keys[0]) +
         index.slots.capacity() * sizeof(index.slots[0]) +
         index.slot_passages.capacity() * sizeof(index.slot_passages[0]);
}

}  // namespace parlance::rag
