// The key that signs access tokens where none is configured: random, in the data directory, so
// that tokens outlive a restart. At start-up only; main thread. Blocks for the disk.
#pragma once

#include <string>

#include "base/result.h"

namespace parlance::auth {

inline constexpr const char* kKeyFileName = "access_token.key";

/// The key of `directory`, which exists and which no other process uses. Made when there is none:
/// 256 random bits as text, in a file that its owner alone can read, on disk before this returns.
/// Errors: failed_precondition (others may read the file, or it is no key: too short, too long, or
/// no file), unavailable (it cannot be read or written). None shows the key.
Result<std::string> read_or_make_key(const std::string& directory);

}  // namespace parlance::auth
