// Options of access tokens: how they are signed and how long they are good for.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>

namespace parlance::auth {

/// What a signing key needs at least; below the second it is taken with a warning.
inline constexpr std::size_t kSecretKeyBytesMin = 16;
inline constexpr std::size_t kSecretKeyBytesGood = 32;
inline constexpr std::size_t kSecretKeyBytesMax = 1'024;

inline constexpr std::array<std::string_view, 3> kAlgorithms = {"HS256", "HS384", "HS512"};

inline bool is_algorithm(std::string_view name) {
  return std::find(kAlgorithms.begin(), kAlgorithms.end(), name) != kAlgorithms.end();
}

struct Options {
  /// Signs the tokens; from the environment, never logged. Empty: the key file of the data
  /// directory (key_file.h), made at the first start.
  std::string secret_key;
  std::string algorithm = "HS256";   ///< One of kAlgorithms; no other is ever accepted.
  std::chrono::minutes expires{30};  ///< How long a token is good for.
};

}  // namespace parlance::auth
