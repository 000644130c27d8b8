#include "benchmarks/load/token_times.h"

#include <algorithm>

#include "benchmarks/load/chat_frames.h"

namespace parlance::benchmarks {

uint64_t TokenTimes::add(AnswerTimes& answer, std::string_view text, int64_t received_ns) {
  const bool is_first = answer.last_delta_ns == 0;
  if (answer.measured && is_first) first_token_.record(received_ns - answer.intended_ns);
  if (answer.measured && !is_first) gap_.record(received_ns - answer.last_delta_ns);
  answer.last_delta_ns = received_ns;
  uint64_t stamps = 0;
  for_each_stamp(text, [&](int64_t stamp_ns) {
    const int64_t added_ns = received_ns - stamp_ns;
    if (answer.measured) {
      added_latency_.record(added_ns);
      // By how much the gap between two tokens grew on the way from the upstream to here.
      if (!is_first || stamps > 0) added_gap_.record(added_ns - answer.last_added_ns);
    }
    answer.last_added_ns = added_ns;
    ++stamps;
  });
  return std::max<uint64_t>(stamps, 1);
}

void TokenTimes::report(Report& report) const {
  report.add_latency("first token", first_token_);
  report.add_latency("delta gap", gap_);
  report.add_latency("added latency per token", added_latency_);
  report.add_latency("added gap per token", added_gap_);
}

}  // namespace parlance::benchmarks
