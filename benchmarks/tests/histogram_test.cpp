#include "benchmarks/support/histogram.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include <catch2/catch.hpp>

using parlance::benchmarks::Histogram;

TEST_CASE("an empty histogram answers zero") {
  const Histogram histogram;
  CHECK(histogram.count() == 0);
  CHECK(histogram.percentile(99) == 0);
  CHECK(histogram.mean() == 0);
}

TEST_CASE("small values are exact") {
  Histogram histogram;
  for (int value = 1; value <= 100; ++value) histogram.record(value);
  CHECK(histogram.percentile(0) == 1);
  CHECK(histogram.percentile(50) == 50);
  CHECK(histogram.percentile(99) == 99);
  CHECK(histogram.percentile(100) == 100);
  CHECK(histogram.mean() == Approx(50.5));
}

TEST_CASE("percentiles agree with the sorted values to three digits") {
  std::mt19937_64 random(7);
  std::lognormal_distribution<double> draw(12, 3);
  Histogram histogram;
  std::vector<int64_t> values;
  for (int i = 0; i < 20'000; ++i) {
    const auto value = std::min(static_cast<int64_t>(draw(random)), Histogram::kValueMax);
    values.push_back(value);
    histogram.record(value);
  }
  std::sort(values.begin(), values.end());
  for (const double percent : {1.0, 25.0, 50.0, 90.0, 99.0, 99.9, 100.0}) {
    const auto rank = static_cast<size_t>(std::ceil(percent / 100 * 20'000));
    const auto exact = static_cast<double>(values[rank - 1]);
    CHECK(static_cast<double>(histogram.percentile(percent)) == Approx(exact).epsilon(0.001));
  }
  CHECK(histogram.min() == values.front());
  CHECK(histogram.max() == values.back());
}

TEST_CASE("every value is counted in a bucket that holds it") {
  for (int64_t value = 1; value < Histogram::kValueMax / 3; value = value * 3 + 1) {
    Histogram histogram;
    histogram.record(value);
    histogram.for_each_bucket([&](int64_t highest, uint64_t count) {
      CHECK(count == 1);
      CHECK(highest >= value);
      CHECK(static_cast<double>(highest - value) <= static_cast<double>(value) / 1'000);
    });
  }
}

TEST_CASE("what is out of range stays countable") {
  Histogram histogram;
  histogram.record(-5);
  histogram.record(INT64_MAX);
  CHECK(histogram.count() == 2);
  CHECK(histogram.percentile(50) == 0);
  CHECK(histogram.max() == INT64_MAX);
}

TEST_CASE("merging equals recording into one") {
  Histogram whole, left, right;
  for (int64_t value = 1; value < 1'000'000; value = value * 5 / 4 + 1) {
    whole.record(value);
    (value % 2 == 0 ? left : right).record(value);
  }
  Histogram merged;
  merged.merge(left);
  merged.merge(right);
  merged.merge(Histogram());
  CHECK(merged.count() == whole.count());
  CHECK(merged.min() == whole.min());
  CHECK(merged.max() == whole.max());
  CHECK(merged.mean() == Approx(whole.mean()));
  for (const double percent : {10.0, 50.0, 95.0}) {
    CHECK(merged.percentile(percent) == whole.percentile(percent));
  }
}
