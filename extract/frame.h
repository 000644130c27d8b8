// The framing between the server and parlance-extract, over one socket pair. The server believes
// nothing of what it reads: see extractor.cpp.
//
//   child -> server   kReady, once, after the child confined itself
//   server -> child   RequestHead, then `bytes` bytes: one file
//   child -> server   AnswerHead, then `type_bytes` bytes of MIME type and `text_bytes` bytes of
//   text
//
// One file at a time. After an answer with `leaving` the child ends. Both ends are one build on one
// machine, so structures travel as they lie in memory.
#pragma once

#include <cstdint>
#include <string_view>

namespace parlance::extract {

/// What became of a file: 0 is text, the rest are refusals.
enum class Outcome : std::uint8_t {
  text,
  unsupported_type,
  unknown_encoding,
  broken,
  encrypted,
  too_large,
  too_deep,
  empty,
};
inline constexpr std::uint8_t kOutcomes = 8;

inline constexpr std::string_view kReady = "parlance-extract 1\n";
inline constexpr std::uint32_t kTypeBytesMax = 127;

struct RequestHead {
  std::uint64_t bytes = 0;
};

struct AnswerHead {
  std::uint64_t text_bytes = 0;
  std::uint32_t type_bytes = 0;
  Outcome outcome = Outcome::broken;
  std::uint8_t leaving = 0;
  std::uint8_t reserved[2] = {0, 0};  ///< Zero.
};
static_assert(sizeof(RequestHead) == 8 && sizeof(AnswerHead) == 16);

}  // namespace parlance::extract
