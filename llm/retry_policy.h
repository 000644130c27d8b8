// When a failed model call is tried again. Pure.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

#include "base/clock.h"
#include "llm/options.h"
#include "llm/provider.h"

namespace parlance::llm {

/// How long to wait before the next try, or none when this provider should not be asked again.
/// `tries` counts those made, at least 1. `jitter` in [0, 1) spreads callers that failed together:
/// the backoff is shortened by up to half, a wait that the upstream asked for is never shortened.
std::optional<std::chrono::milliseconds> retry_delay(const ProviderOptions& options,
                                                     const ModelFailure& failure, int tries,
                                                     double jitter);

/// A Retry-After header: seconds, or an HTTP date. None when it is neither.
/// Source: RFC 9110, section 10.2.3.
std::optional<std::chrono::milliseconds> parse_retry_after(std::string_view value, WallTime now);

}  // namespace parlance::llm
