#include "rag/vector_index.h"

#include <cmath>
#include <random>
#include <set>
#include <vector>

#include <catch2/catch.hpp>

namespace parlance::rag {
namespace {

constexpr std::size_t kDimensions = 24;
constexpr std::uint32_t kSeed = 7;

std::vector<float> random_unit(std::mt19937& random) {
  std::normal_distribution<float> normal;
  std::vector<float> vector(kDimensions);
  double squares = 0;
  for (float& x : vector) {
    x = normal(random);
    squares += static_cast<double>(x) * x;
  }
  for (float& x : vector) x = static_cast<float>(x / std::sqrt(squares));
  return vector;
}

VectorIndex filled(std::size_t count, std::size_t exact_max) {
  std::mt19937 random(kSeed);
  VectorIndex index(kDimensions, exact_max);
  for (std::size_t i = 0; i < count; ++i) REQUIRE(index.add(random_unit(random)).has_value());
  return index;
}

}  // namespace

TEST_CASE("the nearest vectors come first with their distances") {
  VectorIndex index(2, 10);
  REQUIRE(index.add(std::vector<float>{0, 1}).has_value());
  REQUIRE(index.add(std::vector<float>{1, 0}).has_value());
  REQUIRE(index.add(std::vector<float>{-1, 0}).has_value());
  const auto near = index.nearest(std::vector<float>{1, 0}, 3);
  REQUIRE(near.has_value());
  REQUIRE(near->size() == 3);
  CHECK((*near)[0].slot == 1);
  CHECK((*near)[0].distance == Approx(0).margin(1e-6));
  CHECK((*near)[1].slot == 0);
  CHECK((*near)[1].distance == Approx(1));
  CHECK((*near)[2].slot == 2);
  CHECK((*near)[2].distance == Approx(2));
}

TEST_CASE("an empty index of vectors finds nothing") {
  const VectorIndex index(kDimensions, 10);
  const auto near = index.nearest(std::vector<float>(kDimensions, 0.2F), 10);
  REQUIRE(near.has_value());
  CHECK(near->empty());
}

TEST_CASE("the graph finds what an exact search finds") {
  const VectorIndex exact = filled(1'500, 10'000);
  // All in the graph, and in the midst of moving there.
  const VectorIndex graph = filled(1'500, GENERATE(100, 1'000));
  std::mt19937 random(kSeed + 1);
  std::size_t found = 0;
  constexpr std::size_t kQueries = 50;
  for (std::size_t i = 0; i < kQueries; ++i) {
    const auto query = random_unit(random);
    std::set<std::uint32_t> slots;
    for (const auto& near : graph.nearest(query, 10).value()) slots.insert(near.slot);
    for (const auto& near : exact.nearest(query, 10).value()) found += slots.count(near.slot);
  }
  CHECK(found >= kQueries * 10 * 98 / 100);
}

TEST_CASE("every vector is found again while the graph takes over") {
  std::mt19937 random(kSeed);
  VectorIndex index(kDimensions, 50);
  std::vector<std::vector<float>> vectors;
  for (std::uint32_t i = 0; i < 150; ++i) {
    vectors.push_back(random_unit(random));
    REQUIRE(index.add(vectors.back()).has_value());
    REQUIRE(index.size() == vectors.size());
    for (const std::uint32_t slot : {std::uint32_t{0}, i / 2, i}) {
      REQUIRE(index.nearest(vectors[slot], 1).value().at(0).slot == slot);
      REQUIRE(index.distance(vectors[slot], slot) == Approx(0).margin(1e-5));
    }
  }
}

TEST_CASE("equal vectors are all found") {
  VectorIndex index(2, 20);
  for (int i = 0; i < 60; ++i) REQUIRE(index.add(std::vector<float>{1, 0}).has_value());
  CHECK(index.nearest(std::vector<float>{1, 0}, 10).value().size() == 10);
}

}  // namespace parlance::rag
