#include "base/metrics.h"

#include <string>

#include <catch2/catch.hpp>

namespace parlance {
namespace {

TEST_CASE("an updated metric shows in the text") {
  metrics::get().gaps.add(3);
  const std::string text = metrics::to_text();
  CHECK(text.find("# TYPE parlance_gaps_total counter") != std::string::npos);
  CHECK(text.find("\nparlance_gaps_total 3") != std::string::npos);
}

TEST_CASE("every member of the metrics is registered") {
  // An unregistered one has no implementation and would crash here.
  metrics::Metrics& m = metrics::get();
  for (metrics::Gauge* gauge :
       {&m.connections_open, &m.watchers, &m.sessions_awake, &m.runs_active,
        &m.model_calls_in_flight, &m.model_calls_queued}) {
    gauge->add(0);
  }
  for (metrics::Histogram* histogram :
       {&m.commit_seconds, &m.commit_records, &m.model_first_token_seconds}) {
    histogram->observe(1);
  }
  CHECK(metrics::to_text().find("parlance_commit_records_bucket") != std::string::npos);
}

}  // namespace
}  // namespace parlance
