#include "base/metrics.h"

#include <cmath>

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

namespace parlance::metrics {

void Counter::add(double amount) noexcept {
  static_cast<prometheus::Counter*>(impl_)->Increment(amount);
}
void Gauge::add(double amount) noexcept {
  static_cast<prometheus::Gauge*>(impl_)->Increment(amount);
}
void Gauge::set(double value) noexcept {
  static_cast<prometheus::Gauge*>(impl_)->Set(value);
}
double Counter::value() const noexcept {
  return static_cast<prometheus::Counter*>(impl_)->Value();
}
double Gauge::value() const noexcept {
  return static_cast<prometheus::Gauge*>(impl_)->Value();
}

HistogramReading Histogram::read() const {
  HistogramReading out;
  const auto collected = static_cast<prometheus::Histogram*>(impl_)->Collect();
  for (const auto& bucket : collected.histogram.bucket) {
    out.buckets.push_back({bucket.upper_bound, bucket.cumulative_count});
  }
  return out;
}

std::optional<double> quantile_between(const HistogramReading& before,
                                       const HistogramReading& after, double share) {
  const auto count_at = [&](std::size_t i) {
    const std::uint64_t earlier = i < before.buckets.size() ? before.buckets[i].count : 0;
    return static_cast<double>(after.buckets[i].count - earlier);
  };
  if (after.buckets.empty()) return std::nullopt;
  const double wanted = share * count_at(after.buckets.size() - 1);
  if (wanted <= 0) return std::nullopt;
  double lower = 0;
  double below = 0;
  for (std::size_t i = 0; i < after.buckets.size(); ++i) {
    const double upper = after.buckets[i].upper_bound;
    const double count = count_at(i);
    if (count >= wanted) {
      if (std::isinf(upper)) return lower;
      return lower + (upper - lower) * (wanted - below) / (count - below);
    }
    lower = upper;
    below = count;
  }
  return lower;
}

void Histogram::observe(double value) noexcept {
  static_cast<prometheus::Histogram*>(impl_)->Observe(value);
}

class Registry {
 public:
  Registry();
  Metrics metrics;
  std::string to_text() const {
    return prometheus::TextSerializer().Serialize(registry_.Collect());
  }

 private:
  void counter(Counter& out, const char* name, const char* help) {
    out.impl_ = &prometheus::BuildCounter().Name(name).Help(help).Register(registry_).Add({});
  }
  void gauge(Gauge& out, const char* name, const char* help) {
    out.impl_ = &prometheus::BuildGauge().Name(name).Help(help).Register(registry_).Add({});
  }
  void histogram(Histogram& out, const char* name, const char* help,
                 const prometheus::Histogram::BucketBoundaries& bounds,
                 const prometheus::Labels& labels = {}) {
    out.impl_ =
        &prometheus::BuildHistogram().Name(name).Help(help).Register(registry_).Add(labels, bounds);
  }
  void document_stage(Histogram& out, const char* stage) {
    histogram(out, "parlance_document_stage_seconds",
              "Time of one stage of a request to store documents.",
              {0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60}, {{"stage", stage}});
  }
  prometheus::Registry registry_;
};

Registry::Registry() {
  Metrics& m = metrics;
  gauge(m.connections_open, "parlance_connections_open", "Open client connections.");
  counter(m.connections_accepted, "parlance_connections_accepted_total", "Accepted connections.");
  counter(m.connections_refused, "parlance_connections_refused_total",
          "Connections refused at the limit.");
  counter(m.slow_readers_dropped, "parlance_slow_readers_dropped_total",
          "Connections closed at the write-queue limit.");
  counter(m.input_refused, "parlance_input_refused_total",
          "Requests and frames answered with a client error.");
  counter(m.console_refused, "parlance_console_refused_total",
          "Requests with a wrong key of the operator's console.");
  counter(m.http_requests, "parlance_http_requests_total", "HTTP requests.");
  counter(m.frames_received, "parlance_frames_received_total", "WebSocket messages received.");
  counter(m.frames_sent, "parlance_frames_sent_total", "WebSocket and SSE events sent.");
  counter(m.bytes_sent, "parlance_bytes_sent_total", "Bytes written to client sockets.");
  gauge(m.watchers, "parlance_watchers", "Connections attached to a session.");
  gauge(m.sessions_awake, "parlance_sessions_awake", "Session actors in memory.");
  counter(m.session_wakes, "parlance_session_wakes_total", "Session actors started.");
  counter(m.session_sleeps, "parlance_session_sleeps_total", "Idle session actors put away.");
  counter(m.messages_accepted, "parlance_messages_accepted_total", "Messages made durable.");
  counter(m.messages_duplicate, "parlance_messages_duplicate_total",
          "Messages whose id was seen before.");
  counter(m.messages_refused, "parlance_messages_refused_total", "Messages refused.");
  gauge(m.runs_active, "parlance_runs_active", "Runs in progress.");
  counter(m.runs_completed, "parlance_runs_completed_total", "Runs that ended with an answer.");
  counter(m.runs_failed, "parlance_runs_failed_total", "Runs that ended with an error.");
  counter(m.runs_cancelled, "parlance_runs_cancelled_total", "Runs that were cancelled.");
  counter(m.runs_recovered, "parlance_runs_recovered_total", "Unfinished runs found at start.");
  counter(m.resumes, "parlance_resumes_total", "Attaches with a cursor that was served.");
  counter(m.gaps, "parlance_gaps_total", "Attaches with a cursor that could not be served.");
  counter(m.commits, "parlance_commits_total", "Groups made durable, one sync each.");
  counter(m.records_committed, "parlance_records_committed_total", "Events made durable.");
  counter(m.commit_failures, "parlance_commit_failures_total", "Groups that could not be written.");
  histogram(m.commit_seconds, "parlance_commit_seconds", "Time to make a group durable.",
            {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2});
  histogram(m.commit_records, "parlance_commit_records", "Events per group.",
            {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024});
  counter(m.model_calls, "parlance_model_calls_total", "Model calls started.");
  counter(m.model_retries, "parlance_model_retries_total", "Model calls tried again.");
  counter(m.model_failures, "parlance_model_failures_total", "Model calls that failed for good.");
  counter(m.model_fallbacks, "parlance_model_fallbacks_total",
          "Model calls moved to the next provider.");
  counter(m.model_breaker_opened, "parlance_model_breaker_opened_total",
          "Times a provider's circuit breaker opened.");
  gauge(m.model_calls_in_flight, "parlance_model_calls_in_flight", "Model calls in flight.");
  gauge(m.model_calls_queued, "parlance_model_calls_queued", "Model calls waiting for a place.");
  counter(m.model_tokens_in, "parlance_model_tokens_in_total", "Prompt tokens, as reported.");
  counter(m.model_tokens_out, "parlance_model_tokens_out_total", "Completion tokens, as reported.");
  histogram(m.model_first_token_seconds, "parlance_model_first_token_seconds",
            "Time from the call to its first delta.",
            {0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30});
  counter(m.tool_calls, "parlance_tool_calls_total", "Tool calls run.");
  counter(m.tool_failures, "parlance_tool_failures_total", "Tool calls that failed.");
  document_stage(m.document_stages.parse, "parse");
  document_stage(m.document_stages.extract, "extract");
  document_stage(m.document_stages.cut, "cut");
  document_stage(m.document_stages.terms, "terms");
  document_stage(m.document_stages.embed, "embed");
  document_stage(m.document_stages.write, "write");
}

namespace {
Registry& registry() {
  static Registry instance;
  return instance;
}
}  // namespace

Metrics& get() {
  static Metrics& metrics = registry().metrics;
  return metrics;
}

std::string to_text() {
  return registry().to_text();
}

}  // namespace parlance::metrics
