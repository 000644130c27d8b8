// Time as the rest of the code sees it: wall time for what is recorded, steady time for limits.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace parlance {

using SteadyTime = std::chrono::steady_clock::time_point;

/// Milliseconds since 1970-01-01 UTC; what events are stamped with.
struct WallTime {
  std::int64_t ms = 0;
  friend bool operator==(const WallTime&, const WallTime&) = default;
};

WallTime wall_now();

/// "YYYY-MM-DD HH:MM:SS" in UTC, the form of `/history`.
std::string to_history_time(WallTime time);

/// RFC 3339 in UTC with milliseconds, the form of step frames: "2026-01-02T03:04:05.678Z".
std::string to_rfc3339(WallTime time);

}  // namespace parlance
