#pragma once
// What the command line of the simulated upstream sets; a script entry may override it per answer.

#include <cstdint>
#include <string>

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
  /// What is heard in every recording; empty: some words.
  std::string transcript;
  double transcription_ms = 0;
  /// Of silence, the answer to every text that is to be spoken.
  double speech_ms = 2'000;
  double speech_wait_ms = 0;
  /// Speech comes in pieces with a wait between them; 0 bytes: in one.
  size_t speech_piece_bytes = 4'096;
  double speech_piece_ms = 0;
};

}  // namespace parlance::benchmarks
