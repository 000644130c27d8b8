#pragma once
// What the simulated upstream says of audio: a transcript, and silence to listen to. Pure.

#include <cstdint>
#include <string>
#include <string_view>

namespace parlance::benchmarks {

/// At least `ms` of silence as MP3: frames of MPEG-1 Layer III, 128 kbit/s, 44.1 kHz, mono.
std::string silent_mp3(double ms);

/// The answer to `POST /v1/audio/transcriptions`.
std::string transcript_body(std::string_view text);

/// Whether a body of `POST /v1/audio/speech` is one. Throws std::invalid_argument with the sentence
/// that goes into the error's "message".
void check_speech_request(std::string_view body);

/// What may be told of a form of `bytes` bytes, whose `start` is known: its size, and its text up
/// to the first file's bytes, as JSON. Throws as above when there is no file in it.
std::string form_summary(std::string_view head, std::string_view start, uint64_t bytes);

}  // namespace parlance::benchmarks
