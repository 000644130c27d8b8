#pragma once
// The times at which the tokens of answers come, as all modes that stream count them.

#include <cstdint>
#include <string_view>

#include "benchmarks/support/histogram.h"
#include "benchmarks/support/report.h"

namespace parlance::benchmarks {

/// One answer on its way.
struct AnswerTimes {
  int64_t intended_ns = 0;  ///< When its message should have been sent.
  bool measured = false;
  int64_t last_delta_ns = 0;
  int64_t last_added_ns = 0;
};

class TokenTimes {
 public:
  /// Takes in a delta; returns how many tokens it holds, at least one.
  uint64_t add(AnswerTimes& answer, std::string_view text, int64_t received_ns);
  void report(Report& report) const;

 private:
  Histogram first_token_, gap_, added_latency_, added_gap_;
};

}  // namespace parlance::benchmarks
