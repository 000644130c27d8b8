// Takes away from this process, for good, what reading a file does not need: other processes
// and programs, sockets, opening files in any way, more memory and time than the limits. What is
// left is computing, and reading and writing what is open already.
//
// Call it once, from the only thread, after everything was loaded and before the first byte of a
// file was read.
#pragma once

#include <chrono>
#include <cstddef>

#include "base/result.h"

namespace parlance::confined {

struct Confinement {
  std::size_t memory_bytes_max = 0;  ///< Address space. Not limited under a sanitizer, which
                                     ///< reserves terabytes of it.
  std::chrono::seconds cpu_max{0};   ///< SIGXCPU ends the process at the limit.
  int descriptors_received_max = 0;  ///< What it may still be handed over standard input, above
                                     ///< the three standard ones; then it may also pread.
};

/// Errors: unavailable (the kernel refuses a limit or the system call filter).
Status confine(const Confinement& confinement);

}  // namespace parlance::confined
