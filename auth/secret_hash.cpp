#include "auth/secret_hash.h"

#include <array>
#include <charconv>
#include <cstdint>
#include <span>

#include <sodium.h>

#include "base/check.h"

namespace parlance::auth {
namespace {

constexpr std::size_t kMemoryBytes = std::size_t{19} << 20;
constexpr unsigned long long kPasses = 2;
constexpr std::uint64_t kMemoryKibMax = 256 << 10;
constexpr std::uint64_t kPassesMax = 16;

using HashText = std::array<char, crypto_pwhash_STRBYTES>;
static_assert(kSecretHashBytesMax + 1 == crypto_pwhash_STRBYTES);

void start_sodium() {
  // Once per process; it also makes the first random bytes wait for the system's generator.
  static const bool started = sodium_init() >= 0;
  CHECK(started);
}

/// libsodium takes hashes as text that a zero byte ends. Empty when `text` does not fit.
HashText as_hash_text(std::string_view text) {
  HashText out{};
  if (text.size() < out.size()) text.copy(out.data(), text.size());
  return out;
}

std::string random_text(std::span<unsigned char> bytes) {
  start_sodium();
  randombytes_buf(bytes.data(), bytes.size());
  constexpr int kVariant = sodium_base64_VARIANT_URLSAFE_NO_PADDING;
  std::string out(sodium_base64_encoded_len(bytes.size(), kVariant), '\0');
  sodium_bin2base64(out.data(), out.size(), bytes.data(), bytes.size(), kVariant);
  out.pop_back();  // The closing zero byte.
  return out;
}

/// Takes `name` and the number behind it from the front of `text`.
bool take_number(std::string_view& text, std::string_view name, std::uint64_t& out) {
  if (!text.starts_with(name)) return false;
  text.remove_prefix(name.size());
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), out);
  if (parsed.ec != std::errc{}) return false;
  text.remove_prefix(static_cast<std::size_t>(parsed.ptr - text.data()));
  return true;
}

}  // namespace

Result<std::string> hash_secret(std::string_view secret) {
  start_sodium();
  if (secret.empty()) return Error{Errc::invalid_argument, "a secret may not be empty"};
  if (secret.size() > kSecretBytesMax) {
    return Error{Errc::invalid_argument, "a secret may have at most 1024 bytes"};
  }
  HashText out{};
  if (crypto_pwhash_str_alg(out.data(), secret.data(), secret.size(), kPasses, kMemoryBytes,
                            crypto_pwhash_ALG_ARGON2ID13) != 0) {
    return Error{Errc::unavailable, "no memory to hash a secret"};
  }
  return std::string(out.data());
}

bool verify_secret(std::string_view hash, std::string_view secret) {
  start_sodium();
  if (!is_secret_hash(hash) || secret.size() > kSecretBytesMax) return false;
  const HashText text = as_hash_text(hash);
  return crypto_pwhash_str_verify(text.data(), secret.data(), secret.size()) == 0;
}

bool is_secret_hash(std::string_view text) {
  start_sodium();
  std::string_view rest = text;
  std::uint64_t memory_kib = 0;
  std::uint64_t passes = 0;
  if (text.size() > kSecretHashBytesMax || text.find('\0') != std::string_view::npos ||
      !take_number(rest, "$argon2id$v=19$m=", memory_kib) || !take_number(rest, ",t=", passes) ||
      memory_kib > kMemoryKibMax || passes > kPassesMax) {
    return false;
  }
  // It parses the whole text; -1 is a text that is no hash.
  const HashText copy = as_hash_text(text);
  return crypto_pwhash_str_needs_rehash(copy.data(), kPasses, kMemoryBytes) >= 0;
}

std::string new_client_id() {
  std::array<unsigned char, 16> bytes{};
  return random_text(bytes);
}

std::string new_secret() {
  std::array<unsigned char, 32> bytes{};
  return random_text(bytes);
}

}  // namespace parlance::auth
