// The framing between the server and a child that parlance-speech has forked for one request, over
// one socket pair. The server believes nothing of what it reads: see speech_programs.cpp.
//
//   child -> server   kReady, once, after the child confined itself
//   server -> child   RequestHead, with the audio file's descriptor, or followed by `bytes` bytes
//                     of text to speak
//   child -> server   AnswerHead, then `bytes` bytes: with `done` the type of a probe or the text
//                     of a recognition, with `not_audio` the type instead, with `piece` MP3
//
// One request, then the child ends. Only speech is answered in pieces, and ends with `done`. Both
// ends are one build on one machine, so structures travel as they lie in memory.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace parlance::speech {

/// What parlance-speech was started for, and its first argument.
enum class Task : std::uint8_t { probe, transcribe, speak_english, speak_arabic };
inline constexpr std::array<const char*, 4> kTaskNames = {"probe", "transcribe", "speak-en",
                                                          "speak-ar"};

enum class Outcome : std::uint8_t {
  done,
  piece,
  not_audio,
  has_video,
  no_audio,
  unknown_coding,
  too_long,
  empty,
  broken,
  not_playable,
  too_complex,
  failed,
};
inline constexpr std::uint8_t kOutcomes = 12;

inline constexpr std::string_view kReady = "parlance-speech 1\n";
inline constexpr std::uint32_t kAnswerBytesMax = 64 << 10;
inline constexpr std::uint32_t kTypeBytesMax = 127;

struct RequestHead {
  std::uint64_t bytes = 0;  ///< Of the file, or of the text.
};

struct AnswerHead {
  std::int64_t duration_ms = 0;
  std::uint32_t bytes = 0;
  Outcome outcome = Outcome::failed;
  std::uint8_t reserved[3] = {0, 0, 0};  ///< Zero.
};
static_assert(sizeof(RequestHead) == 8 && sizeof(AnswerHead) == 16);

}  // namespace parlance::speech
