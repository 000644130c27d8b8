#pragma once
// What the command line of the simulated upstream sets; a script entry may override it per answer.

#include <cstdint>

namespace parlance::benchmarks {

struct UpstreamSettings {
  double first_token_ms = 0;
  double token_ms = 0;
  /// Tokens of an answer. A request's smaller max_tokens or max_completion_tokens is honoured.
  uint32_t tokens = 50;
  /// Tokens per delta.
  uint32_t batch = 1;
  /// Coefficient of variation of the waits: 0 is exact; 1 draws gaps from an exponential, and first
  /// tokens from a log-normal distribution with the given values as medians.
  double jitter = 0;
  uint64_t seed = 1;
  /// Every delta's text begins with its send time: "<monotonic ns>|".
  bool stamp = false;
};

}  // namespace parlance::benchmarks
