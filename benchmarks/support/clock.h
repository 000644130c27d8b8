#pragma once
// The one clock of the benchmarks: CLOCK_MONOTONIC in nanoseconds. It is the same for all processes
// of a machine, so a time stamped by the simulated upstream can be compared with one taken by the
// load generator.

#include <cstdint>
#include <ctime>

namespace parlance::benchmarks {

inline constexpr int64_t kNsPerUs = 1'000;
inline constexpr int64_t kNsPerMs = 1'000'000;
inline constexpr int64_t kNsPerSecond = 1'000'000'000;

inline int64_t now_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * kNsPerSecond + now.tv_nsec;
}

/// Seconds from the command line to nanoseconds.
inline int64_t seconds_to_ns(double seconds) {
  return static_cast<int64_t>(seconds * 1e9);
}

}  // namespace parlance::benchmarks
