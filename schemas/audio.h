// Recordings of the agent platform, as a session's log knows them. Their bytes are files beside the
// store (docs/formats.md).
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace parlance {

/// A recording that is kept. An empty name: there is none.
struct Audio {
  std::string name = {};  ///< A UUID in lower case: the message that it belongs to.
  std::string type = {};  ///< MIME: audio/wav, ogg, mpeg, mp4, webm or flac.
  std::uint64_t bytes = 0;
  std::chrono::milliseconds duration{0};  ///< 0: not known.
  friend bool operator==(const Audio&, const Audio&) = default;
};

/// What a user said aloud. Its answer is spoken, too.
struct VoiceInput {
  Audio audio = {};
  std::string language = {};  ///< What the user says it is in: a tag such as "ar"; may be empty.
  std::string digest = {};    ///< SHA-256 of its bytes.
  std::string engine = {};    ///< What made its text, where that is known already.
  /// What was answered to it before, of a message that is run again: only to be spoken.
  std::string answer = {};
  friend bool operator==(const VoiceInput&, const VoiceInput&) = default;
};

}  // namespace parlance
