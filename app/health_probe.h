// Asks a running server whether it is alive, as health checks of containers do. Main thread; blocks
// for some seconds at most.
#pragma once

#include <string>

#include "base/result.h"

namespace parlance::app {

/// The body of GET /healthz at `address` ("host:port"; one that stands for every address of the
/// machine is asked on loopback).
/// Errors: invalid_argument (no address, or port 0), unavailable (no answer, or another than 200).
Result<std::string> probe_health(const std::string& address);

}  // namespace parlance::app
