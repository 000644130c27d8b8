#include "base/digest.h"

#include <array>
#include <cerrno>
#include <memory>
#include <vector>

#include <openssl/evp.h>
#include <unistd.h>

#include "base/check.h"

namespace parlance {
namespace {

constexpr std::size_t kPieceBytes = 64 << 10;

}  // namespace

std::string sha256(std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  // Fails only where the library has no SHA-256 or no memory.
  CHECK(EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha256(), nullptr) == 1);
  return {reinterpret_cast<const char*>(digest.data()), size};
}

std::string sha256_of_file(int descriptor) {
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                        &EVP_MD_CTX_free);
  CHECK(context && EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) == 1);
  std::vector<char> piece(kPieceBytes);
  off_t at = 0;
  for (;;) {
    const ssize_t got = ::pread(descriptor, piece.data(), piece.size(), at);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return {};
    if (got == 0) break;
    CHECK(EVP_DigestUpdate(context.get(), piece.data(), static_cast<std::size_t>(got)) == 1);
    at += got;
  }
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  CHECK(EVP_DigestFinal_ex(context.get(), digest.data(), &size) == 1);
  return {reinterpret_cast<const char*>(digest.data()), size};
}

}  // namespace parlance
