// Recordings into text and text into speech by an OpenAI-compatible provider: tried again before
// the first byte of an answer, within a bounded number at once and a bounded queue, behind a
// circuit breaker. One for the node, with its own gate; on its event loop's thread.
//
// Invariants: `done` comes once, later and never from inside `transcribe` or `speak`, unless the
// call is cancelled or the client goes: then never, and no bytes either. Callbacks may begin and
// cancel calls and may destroy the client. No recording and no speech is held: a file is read while
// it is sent, audio is handed on as it comes. The API key, what was said and what is to be said
// appear in no error and no log line.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "llm/options.h"
#include "llm/speech_wire.h"

namespace parlance::http {
class TransferLoop;
}

namespace parlance::llm {

struct SpeechCalls;

/// Names a call of one client; never reused, never 0.
using SpeechId = std::uint64_t;

/// A recording as it is sent: the whole regular file behind `descriptor`. The client takes a
/// descriptor of its own, so the caller may close this one at once.
struct Recording {
  int descriptor = -1;
  std::string name;          ///< Providers tell the format by its extension: "voice.ogg".
  std::string content_type;  ///< "audio/ogg".
  std::string language;      ///< ISO 639 ("ar") where it is known, else empty.
};

class SpeechClient {
 public:
  using Transcribed = std::function<void(Result<Transcript>)>;
  /// Some of the mp3; valid during the call only.
  using Bytes = std::function<void(std::string_view)>;
  using Spoken = std::function<void(Status)>;

  /// `loop` must outlive the client. `jitter` in [0, 1), for tests; empty: random.
  explicit SpeechClient(http::TransferLoop& loop, SpeechOptions options,
                        std::function<double()> jitter = {});
  /// Cancels all.
  ~SpeechClient();
  SpeechClient(const SpeechClient&) = delete;
  SpeechClient& operator=(const SpeechClient&) = delete;

  /// Errors: invalid_argument (name, type or language cannot be sent; a file that is empty, too big
  /// or none; the provider refuses the recording), resource_exhausted (too many calls wait, the
  /// provider's limit, an answer that is too long, no descriptor), failed_precondition (no
  /// provider, key, model, certificate, an answer that is no transcript), deadline_exceeded,
  /// unavailable, corrupted (the file became shorter meanwhile).
  SpeechId transcribe(const Recording& recording, Transcribed done);

  /// As mp3, by the options' voice where `voice` is empty. A text that is too long for one request
  /// is spoken by several, whose mp3 follow each other. Where it fails in the middle, what was
  /// handed on is good up to there. Errors: as above; invalid_argument also for a text that is
  /// empty, too long or not UTF-8.
  SpeechId speak(std::string text, std::string voice, Bytes on_bytes, Spoken done);

  /// Ends a call without its `done` and closes its connection. Unknown: no effect.
  void cancel(SpeechId call);

 private:
  std::unique_ptr<SpeechCalls> calls_;
};

}  // namespace parlance::llm
