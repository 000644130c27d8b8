#include "base/random.h"

#include <array>
#include <span>

#include <sys/random.h>

#include "base/check.h"

namespace parlance {
namespace {

void fill(std::span<unsigned char> out) {
  // Requests of up to 256 bytes are never cut short once the kernel's pool is ready.
  CHECK(out.size() <= 256);
  CHECK(getrandom(out.data(), out.size(), 0) == static_cast<ssize_t>(out.size()));
}

}  // namespace

std::string random_hex(std::size_t bytes) {
  std::array<unsigned char, 64> raw{};
  CHECK(bytes <= raw.size());
  fill({raw.data(), bytes});
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(bytes * 2);
  for (std::size_t i = 0; i < bytes; ++i) {
    out += kDigits[raw[i] >> 4];
    out += kDigits[raw[i] & 15];
  }
  return out;
}

std::uint64_t random_u64() {
  std::array<unsigned char, 8> raw{};
  fill(raw);
  std::uint64_t value = 0;
  for (const unsigned char byte : raw) value = value << 8 | byte;
  return value;
}

}  // namespace parlance
