#pragma once
// What a measurement says at its end: numbers and latencies, as a table for people and as JSON for
// benchmarks/run.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "benchmarks/support/histogram.h"

namespace parlance::benchmarks {

class Report {
 public:
  /// `mode` is the subcommand that is measured.
  explicit Report(std::string mode) : mode_(std::move(mode)) {}

  /// A number with its unit last in the name, such as "messages_per_second".
  void add(std::string name, double value) { numbers_.emplace_back(std::move(name), value); }

  /// A histogram of nanoseconds, told in microseconds. Empty ones are left out of the table.
  void add_latency(std::string name, Histogram histogram) {
    latencies_.emplace_back(std::move(name), std::move(histogram));
  }

  /// A reason why the run's numbers must not be used.
  void invalidate(std::string why) { invalid_.push_back(std::move(why)); }

  bool is_valid() const { return invalid_.empty(); }

  /// Prints the table to stdout and, with a path, writes the JSON. Throws std::runtime_error when
  /// it can't.
  void publish(const std::string& json_path) const;

  std::string json() const;

 private:
  void print() const;

  std::string mode_;
  std::vector<std::pair<std::string, double>> numbers_;
  std::vector<std::pair<std::string, Histogram>> latencies_;
  std::vector<std::string> invalid_;
};

}  // namespace parlance::benchmarks
