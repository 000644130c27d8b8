// Counters, gauges and histograms of the process, printed by `/metrics` in Prometheus text form.
// One global registry; every metric of the project is a member of `Metrics`, so that this header is
// the list an operator reads. Any thread; an update is one or two atomic operations.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace parlance::metrics {

class Counter {
 public:
  void add(double amount = 1) noexcept;
  double value() const noexcept;

 private:
  friend class Registry;
  void* impl_ = nullptr;
};

class Gauge {
 public:
  void add(double amount) noexcept;
  void set(double value) noexcept;
  double value() const noexcept;

 private:
  friend class Registry;
  void* impl_ = nullptr;
};

/// What a histogram has counted so far.
struct HistogramReading {
  struct Bucket {
    double upper_bound = 0;   ///< Infinite in the last one.
    std::uint64_t count = 0;  ///< Of the values up to there, those of smaller buckets included.
  };
  std::vector<Bucket> buckets;
};

/// The value below which `share` of those lie that were counted between two readings of one
/// histogram, by interpolation within its bucket; nothing when there were none. What lies in the
/// last bucket counts as the largest bound.
std::optional<double> quantile_between(const HistogramReading& before,
                                       const HistogramReading& after, double share);

class Histogram {
 public:
  void observe(double value) noexcept;
  HistogramReading read() const;

 private:
  friend class Registry;
  void* impl_ = nullptr;
};

/// One metric, `parlance_document_stage_seconds`, with the stage as its label: what each request to
/// store documents spends where, waiting between them left out.
struct DocumentStages {
  Histogram parse;    ///< The body into documents.
  Histogram extract;  ///< Files into texts, in the process that reads them.
  Histogram cut;      ///< Texts into passages.
  Histogram terms;    ///< Passages into the words they are found by.
  Histogram embed;    ///< Passages into vectors, of all tools.
  Histogram write;    ///< Passages into the store, or into Chroma.
};

struct Metrics {
  Gauge connections_open;
  Counter connections_accepted;
  Counter connections_refused;   ///< Over the limit of connections.
  Counter slow_readers_dropped;  ///< Closed at the write-queue limit.
  Counter input_refused;         ///< Requests and frames answered with a client error.
  Counter console_refused;       ///< Of those, requests with a wrong key of the console.
  Counter http_requests;
  Counter frames_received;
  Counter frames_sent;
  Counter bytes_sent;
  Gauge watchers;  ///< Connections attached to a session.
  Gauge sessions_awake;
  Counter session_wakes;
  Counter session_sleeps;
  Counter messages_accepted;
  Counter messages_duplicate;
  Counter messages_refused;
  Gauge runs_active;
  Counter runs_completed;
  Counter runs_failed;
  Counter runs_cancelled;
  Counter runs_recovered;  ///< Unfinished runs found at start.
  Counter resumes;
  Counter gaps;     ///< Cursors that could not be served.
  Counter commits;  ///< Groups made durable.
  Counter records_committed;
  Counter commit_failures;
  Histogram commit_seconds;
  Histogram commit_records;  ///< Records per group.
  Counter model_calls;
  Counter model_retries;
  Counter model_failures;
  Counter model_fallbacks;
  Counter model_breaker_opened;
  Gauge model_calls_in_flight;
  Gauge model_calls_queued;
  Counter model_tokens_in;
  Counter model_tokens_out;
  Histogram model_first_token_seconds;
  Counter tool_calls;
  Counter tool_failures;
  DocumentStages document_stages;
};

/// The process's metrics.
Metrics& get();

/// All of them in Prometheus text exposition format 0.0.4.
std::string to_text();

}  // namespace parlance::metrics
