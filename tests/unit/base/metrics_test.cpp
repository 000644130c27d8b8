#include "base/metrics.h"

#include <string>

#include <catch2/catch.hpp>

namespace parlance {
namespace {

double gaps() {
  const std::string name = "\nparlance_gaps_total ";
  const std::string text = metrics::to_text();
  const std::size_t at = text.find(name);
  REQUIRE(at != std::string::npos);
  return std::stod(text.substr(at + name.size()));
}

TEST_CASE("an updated metric shows in the text") {
  const double before = gaps();
  metrics::get().gaps.add(3);
  CHECK(gaps() == before + 3);
}

TEST_CASE("a metric's kind shows in the text") {
  const std::string text = metrics::to_text();
  CHECK(text.find("# TYPE parlance_gaps_total counter") != std::string::npos);
  CHECK(text.find("# TYPE parlance_watchers gauge") != std::string::npos);
  CHECK(text.find("# TYPE parlance_commit_seconds histogram") != std::string::npos);
}

TEST_CASE("the stages of documents are one metric, told apart by their label") {
  metrics::get().document_stages.extract.observe(0.2);
  const std::string text = metrics::to_text();
  const std::string type = "# TYPE parlance_document_stage_seconds histogram";
  CHECK(text.find(type) != std::string::npos);
  CHECK(text.find(type) == text.rfind(type));
  for (const char* stage : {"parse", "extract", "cut", "terms", "embed", "write"}) {
    CHECK(text.find(std::string("parlance_document_stage_seconds_count{stage=\"") + stage +
                    "\"}") != std::string::npos);
  }
}

}  // namespace
using metrics::HistogramReading;

TEST_CASE("a quantile lies within the bucket that its share falls into") {
  const HistogramReading before{{{1, 0}, {2, 0}, {4, 0}}};
  const HistogramReading after{{{1, 10}, {2, 20}, {4, 20}}};
  CHECK(metrics::quantile_between(before, after, 0.25).value() == Approx(0.5));
  CHECK(metrics::quantile_between(before, after, 0.75).value() == Approx(1.5));
}

TEST_CASE("a quantile looks only at what came after the first reading") {
  const HistogramReading before{{{1, 100}, {2, 100}}};
  const HistogramReading after{{{1, 100}, {2, 110}}};
  CHECK(metrics::quantile_between(before, after, 0.5).value() == Approx(1.5));
}

TEST_CASE("there is no quantile of nothing") {
  const HistogramReading same{{{1, 5}, {2, 7}}};
  CHECK_FALSE(metrics::quantile_between(same, same, 0.5).has_value());
  CHECK_FALSE(metrics::quantile_between({}, {}, 0.5).has_value());
}

TEST_CASE("a histogram's reading has what was observed") {
  const auto total = [](const HistogramReading& reading) { return reading.buckets.back().count; };
  const metrics::Histogram& histogram = metrics::get().commit_records;
  const auto before = histogram.read();
  metrics::get().commit_records.observe(5'000);
  const auto after = histogram.read();
  CHECK(total(after) == total(before) + 1);
  CHECK(metrics::quantile_between(before, after, 0.5).value() == 1024);
}

}  // namespace parlance
