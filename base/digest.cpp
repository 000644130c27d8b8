#include "base/digest.h"

#include <array>

#include <openssl/evp.h>

#include "base/check.h"

namespace parlance {

std::string sha256(std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  // Fails only where the library has no SHA-256 or no memory.
  CHECK(EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha256(), nullptr) == 1);
  return {reinterpret_cast<const char*>(digest.data()), size};
}

}  // namespace parlance
