// Random names. Any thread. From the kernel's generator, so they cannot be guessed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace parlance {

/// `bytes` random bytes as lower-case hex (2 characters a byte).
std::string random_hex(std::size_t bytes);
std::uint64_t random_u64();

}  // namespace parlance
