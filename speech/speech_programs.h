// What there is to know about audio that strangers send, what is said in it, and speech out of
// text; all without a key or a network. No audio is parsed in this process: each request goes to a
// child process, parlance-speech, which has confined itself (confined/confinement.h) and ends with
// it. One that hangs, dies or lies costs only the request that it served.
//
// Owner: the server. Thread: any; the calls block, and several may run at once, each with a process
// of its own, so their number is the caller's to limit.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "speech/options.h"

namespace parlance::speech {

struct Clip {
  std::string type;  ///< MIME, by content: audio/wav, ogg, mpeg, mp4, webm or flac.
  std::chrono::milliseconds duration{0};
};

class SpeechPrograms {
 public:
  explicit SpeechPrograms(Options options);
  ~SpeechPrograms();

  /// Looks into the file behind `descriptor`, from its start wherever it stands, and makes sure
  /// that it plays. The child reads a copy of the descriptor: open it for reading only.
  /// Errors: unsupported (no audio of the six kinds, or video), too_large (longer than audio_max),
  /// unprocessable (broken, or past a limit of time or memory), invalid_argument (no regular
  /// file), unavailable.
  Result<Clip> probe(int descriptor);

  /// What is said in the file, in small letters and without punctuation; empty for silence.
  /// `language`: a tag of English, or empty, which is taken for it. `go_on` is asked a few times a
  /// second; false from it ends the work, with `cancelled`.
  /// Errors: as `probe`; failed_precondition (another language), cancelled, deadline_exceeded.
  Result<std::string> transcribe(
      int descriptor, std::string_view language,
      const std::function<bool()>& go_on = [] { return true; });

  /// Speaks `text`, UTF-8, as MP3 of 22,050 Hz, one channel and 64 kbit/s. `on_bytes` gets it in
  /// pieces as it is made, in this thread; false from it ends the work, with `cancelled`.
  /// `language`: a tag of English or Arabic.
  /// Errors: invalid_argument (not UTF-8, nothing in it), too_large, failed_precondition (another
  /// language), cancelled, deadline_exceeded, unavailable.
  Status speak(std::string_view text, std::string_view language,
               const std::function<bool(std::string_view mp3)>& on_bytes);

 private:
  class Request;
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace parlance::speech
