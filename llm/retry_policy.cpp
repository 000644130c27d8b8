#include "llm/retry_policy.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string>

#include <curl/curl.h>

namespace parlance::llm {

using std::chrono::milliseconds;

std::optional<milliseconds> retry_delay(const ProviderOptions& options, const ModelFailure& failure,
                                        int tries, double jitter) {
  if (!failure.retryable || tries >= options.tries_max) return std::nullopt;
  // A shift by more than the doublings that reach any sensible limit would overflow.
  const int doublings = std::clamp(tries - 1, 0, 20);
  const milliseconds full = std::min(options.backoff_first * (1 << doublings), options.backoff_max);
  const auto backoff =
      milliseconds(std::llround(static_cast<double>(full.count()) * (1.0 - jitter / 2)));
  if (!failure.retry_after) return backoff;
  if (*failure.retry_after > options.backoff_max) return std::nullopt;
  const auto spread =
      milliseconds(std::llround(static_cast<double>(options.backoff_first.count()) * jitter));
  return std::max(backoff, *failure.retry_after + spread);
}

std::optional<milliseconds> parse_retry_after(std::string_view value, WallTime now) {
  // Longer than anybody waits, short enough not to overflow.
  constexpr long long kSecondsMax = 10'000'000;
  if (value.empty()) return std::nullopt;
  long long seconds = 0;
  const char* const end = value.data() + value.size();
  const auto [rest, error] = std::from_chars(value.data(), end, seconds);
  if (error == std::errc() && rest == end) {
    if (seconds < 0) return std::nullopt;
    return milliseconds(std::min(seconds, kSecondsMax) * 1000);
  }
  const time_t date = curl_getdate(std::string(value).c_str(), nullptr);
  if (date == -1) return std::nullopt;
  const long long wait_ms = static_cast<long long>(date) * 1000 - now.ms;
  return milliseconds(std::clamp(wait_ms, 0LL, kSecondsMax * 1000));
}

}  // namespace parlance::llm
