// CHECK(condition) stops the process on a bug, in release too. Never for input.
#pragma once

namespace parlance {
[[noreturn]] void check_failed(const char* condition, const char* file, int line);
}

#define CHECK(condition) \
  ((condition) ? static_cast<void>(0) : ::parlance::check_failed(#condition, __FILE__, __LINE__))
