#include "rag/vector_index.h"

#include <algorithm>
#include <array>
#include <string>

// Its own instructions are chosen when it is compiled, which for Debian's base line is none better
// than what the compiler makes of the loop below, and its prefetching reads past what it allocated.
#define NO_MANUAL_VECTORIZATION
#include <hnswlib/hnswlib.h>

namespace parlance::rag {
namespace {

// Chosen for a recall of ten of at least 0.98 with hashed vectors, which are harder to find than a
// model's: they lie in all directions. benchmarks/retrieval measures it.
constexpr std::size_t kLinksPerVector = 24;
constexpr std::size_t kBuildBreadth = 200;
constexpr std::size_t kSearchBreadth = 800;

/// How fast vectors move to the graph: more than one for one that comes.
constexpr int kMovesPerAdd = 2;

// Once for what any machine has and once for wider vectors, chosen when the program is loaded.
__attribute__((target_clones("default", "arch=x86-64-v3"))) float distance_of(
    const float* a, const float* b, std::size_t dimensions) {
  // Separate sums, so that the compiler may use vector instructions: it must not reorder one sum.
  constexpr std::size_t kLanes = 16;
  std::array<float, kLanes> sums{};
  std::size_t i = 0;
  for (; i + kLanes <= dimensions; i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) sums[lane] += a[i + lane] * b[i + lane];
  }
  float sum = 0;
  for (; i < dimensions; ++i) sum += a[i] * b[i];
  for (const float lane : sums) sum += lane;
  return 1 - sum;
}

float distance_for_graph(const void* a, const void* b, const void* dimensions) {
  return distance_of(static_cast<const float*>(a), static_cast<const float*>(b),
                     *static_cast<const std::size_t*>(dimensions));
}

class UnitVectors final : public hnswlib::SpaceInterface<float> {
 public:
  explicit UnitVectors(std::size_t dimensions) : dimensions_(dimensions) {}
  std::size_t get_data_size() override { return dimensions_ * sizeof(float); }
  hnswlib::DISTFUNC<float> get_dist_func() override { return distance_for_graph; }
  void* get_dist_func_param() override { return &dimensions_; }

 private:
  std::size_t dimensions_;
};

bool is_nearer(const VectorIndex::Near& a, const VectorIndex::Near& b) {
  return a.distance != b.distance ? a.distance < b.distance : a.slot < b.slot;
}

}  // namespace

class VectorIndex::Graph {
 public:
  Graph(std::size_t dimensions, std::size_t capacity)
      : space_(dimensions), graph_(&space_, capacity, kLinksPerVector, kBuildBreadth) {
    graph_.setEf(kSearchBreadth);
  }

  void add(const float* vector) {
    if (size() == graph_.max_elements_) graph_.resizeIndex(size() + size() / 2);
    graph_.addPoint(vector, size());
  }

  void nearest(const float* query, std::size_t count, std::vector<Near>& out) const {
    auto found = graph_.searchKnn(query, count);
    for (; !found.empty(); found.pop()) {
      out.push_back({static_cast<std::uint32_t>(found.top().second), found.top().first});
    }
  }

  /// Its own number of a vector is ours, because vectors are only ever added, one by one.
  const float* at(std::uint32_t slot) const {
    return reinterpret_cast<const float*>(graph_.getDataByInternalId(slot));
  }

  std::size_t size() const { return graph_.cur_element_count; }

  std::size_t bytes() const {
    // Per vector besides its own memory: links of higher layers, a lock, a level, a mark for
    // "visited", and its number in a map. In all: locks for updates, which there are none of.
    constexpr std::size_t kElementBytes = 8 + 8 + 40 + 4 + 2 + 48;
    return graph_.max_elements_ * (graph_.size_data_per_element_ + kElementBytes) +
           hnswlib::HierarchicalNSW<float>::max_update_element_locks * sizeof(std::mutex);
  }

 private:
  UnitVectors space_;
  hnswlib::HierarchicalNSW<float> graph_;
};

VectorIndex::VectorIndex(std::size_t dimensions, std::size_t exact_max)
    : dimensions_(dimensions), exact_max_(exact_max) {}
VectorIndex::~VectorIndex() = default;
VectorIndex::VectorIndex(VectorIndex&&) noexcept = default;
VectorIndex& VectorIndex::operator=(VectorIndex&&) noexcept = default;

Status VectorIndex::add(std::span<const float> vector) {
  rest_.insert(rest_.end(), vector.begin(), vector.end());
  if (size() <= exact_max_) return {};
  return move_to_graph();
}

Status VectorIndex::move_to_graph() {
  try {
    if (graph_ == nullptr) graph_ = std::make_unique<Graph>(dimensions_, 2 * size());
    for (int i = 0; i < kMovesPerAdd && rest_begin_ * dimensions_ < rest_.size(); ++i) {
      graph_->add(rest_.data() + rest_begin_ * dimensions_);
      ++rest_begin_;
    }
  } catch (const std::runtime_error& error) {
    return Error{Errc::internal, std::string("adding to the graph of vectors: ") + error.what()};
  }
  if (rest_begin_ * dimensions_ == rest_.size()) {
    rest_ = {};
    rest_begin_ = 0;
  }
  return {};
}

Result<std::vector<VectorIndex::Near>> VectorIndex::nearest(std::span<const float> query,
                                                            std::size_t count) const {
  std::vector<Near> near;
  try {
    if (graph_ != nullptr) graph_->nearest(query.data(), count, near);
  } catch (const std::runtime_error& error) {
    return Error{Errc::internal, std::string("searching the graph of vectors: ") + error.what()};
  }
  for (std::size_t slot = graph_ == nullptr ? 0 : graph_->size(); slot < size(); ++slot) {
    const auto number = static_cast<std::uint32_t>(slot);
    near.push_back({number, distance(query, number)});
  }
  count = std::min(count, near.size());
  std::partial_sort(near.begin(), near.begin() + static_cast<std::ptrdiff_t>(count), near.end(),
                    is_nearer);
  near.resize(count);
  return near;
}

float VectorIndex::distance(std::span<const float> query, std::uint32_t slot) const {
  return distance_of(query.data(), at(slot), dimensions_);
}

const float* VectorIndex::at(std::uint32_t slot) const {
  const std::size_t in_graph = graph_ == nullptr ? 0 : graph_->size();
  if (slot < in_graph) return graph_->at(slot);
  return rest_.data() + (rest_begin_ + slot - in_graph) * dimensions_;
}

std::size_t VectorIndex::size() const {
  return (graph_ == nullptr ? 0 : graph_->size()) + rest_.size() / dimensions_ - rest_begin_;
}

std::size_t VectorIndex::bytes() const {
  return rest_.capacity() * sizeof(float) + (graph_ == nullptr ? 0 : graph_->bytes());
}

}  // namespace parlance::rag
