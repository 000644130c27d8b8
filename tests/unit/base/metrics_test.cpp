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
}  // namespace parlance
