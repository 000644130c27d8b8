// Client ids and secrets: made from the system's randomness, kept as Argon2id hashes only.
// Any thread but a core's: hashing and verifying take ten milliseconds or more and 19 MiB
// each, so callers run them elsewhere and bound how many run at once.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"

namespace parlance::auth {

inline constexpr std::size_t kSecretBytesMax = 1'024;
/// What libsodium takes, with its closing zero byte.
inline constexpr std::size_t kSecretHashBytesMax = 127;

/// A hash of nobody's secret, as costly to verify against as those of `hash_secret`. Verified
/// where a client is unknown, so that the time of a refusal does not tell which ids exist.
inline constexpr std::string_view kUnknownClientHash =
    "$argon2id$v=19$m=19456,t=2,p=1$+GmMrIATGouZtX4KL3hEoQ$+4vjTxjrCwm+9c4q7bjZTSQkbz+"
    "mKM44F6naw7mXXV4";

/// The Argon2id hash of `secret` with a new salt: OWASP's minimum, 19 MiB and 2 passes.
/// Errors: invalid_argument (empty or over kSecretBytesMax), unavailable (no memory).
Result<std::string> hash_secret(std::string_view secret);

/// Whether `hash` was made of `secret`; compares in constant time. False for anything that is no
/// hash, and where memory is short.
bool verify_secret(std::string_view hash, std::string_view secret);

/// Whether `text` is an Argon2id hash that can be verified at a sane cost (at most 256 MiB and 16
/// passes), whoever made it.
bool is_secret_hash(std::string_view text);

/// 128 bits as 22, and 256 bits as 43, of A-Z a-z 0-9 _ -.
std::string new_client_id();
std::string new_secret();

}  // namespace parlance::auth
