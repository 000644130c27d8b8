// What OpenAI-compatible speech looks like on the wire: the request of a text to be spoken, the
// answer to a recording, and what may be told of either. Pure.
// Source: openai/openai-openapi, CreateSpeechRequest, CreateTranscriptionResponseJson.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"

namespace parlance::llm {

/// What was heard.
struct Transcript {
  std::string text;      ///< UTF-8 without white space around it. Empty: no words.
  std::string language;  ///< As the provider calls it ("ar", "arabic"); empty when it does not say.
};

/// Asks for mp3. All three must be valid UTF-8.
std::string encode_speech_request(std::string_view model, std::string_view voice,
                                  std::string_view text);

/// Errors: unavailable (not JSON), failed_precondition (JSON without a text; or an error object,
/// which is quoted without `secret`), resource_exhausted (more than `text_bytes_max`). None of them
/// shows what was heard.
Result<Transcript> decode_transcript(std::string_view body, std::size_t text_bytes_max,
                                     std::string_view secret);

/// Whether an answer of this Content-Type may be mp3. OpenAI's own description says octet-stream.
bool may_be_mp3(std::string_view content_type);

/// How many bytes of `text`, which is not empty, go into one request of at most `characters_max`
/// code points: all, or up to the last end of a sentence, else to the last white space, else as
/// many as fit.
std::size_t speech_piece(std::string_view text, std::size_t characters_max);

/// Whether `sentence`, an upstream's, repeats some of `text`, whatever the white space. It may as
/// well where it has JSON's escapes, which hide it.
bool may_repeat(std::string_view sentence, std::string_view text);

}  // namespace parlance::llm
