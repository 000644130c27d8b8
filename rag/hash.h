// A hash that is the same in every build and on every machine: FNV-1a of 64 bits, mixed once more
// because its low bits alone are weak. Not for keys that an enemy may choose.
#pragma once

#include <cstdint>
#include <string_view>

namespace parlance::rag {

constexpr std::uint64_t stable_hash(std::string_view bytes) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  hash ^= hash >> 33;
  hash *= 0xff51afd7ed558ccdULL;
  return hash ^ hash >> 33;
}

}  // namespace parlance::rag
