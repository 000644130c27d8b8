// Turns recordings into text and answers into speech: by the configured provider, else offline by
// the programs of this machine; and keeps the recordings. Also what uploads are looked into with.
//
// Thread: one of its own, an event loop, for what the provider says; two pools, one for hearing and
// speaking offline and for what ends any speech, one for looking into recordings, which strangers
// may make take long. Every call below may come from any thread. Owned by actor_tree.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "actors/options.h"
#include "actors/session_gateway.h"
#include "agent/turn.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "llm/options.h"
#include "schemas/audio.h"
#include "schemas/ids.h"
#include "speech/options.h"
#include "storage/audio_files.h"

namespace parlance::actors {

class WorkerPool;

class SpeechLoop {
 public:
  /// Names a call; never 0.
  using Call = std::uint64_t;
  using TranscribedReply = std::function<void(Result<agent::Transcribed>)>;
  using GrownReply = std::function<void(SpeechProgress)>;
  using SpokenReply = std::function<void(Result<agent::Spoken>)>;

  struct Surroundings {
    const storage::AudioFiles& files;
    const llm::SpeechOptions& provider;
    const speech::Options& offline;
    const Options& options;
    WorkerPool& workers;
  };

  explicit SpeechLoop(Surroundings surroundings);
  ~SpeechLoop();

  /// Ends the loop and what waits in it. Not from its own thread. Nothing may be asked of it
  /// afterwards but what workers still do.
  void stop();

  /// Hears the recording. `reply` is called once, on any thread; not at all when it was cancelled
  /// or the loop ends before. Errors: not_found (it is not kept any more), unprocessable (a
  /// language that only a provider hears, or a recording that is broken), resource_exhausted,
  /// deadline_exceeded, unavailable, failed_precondition.
  Call transcribe(SessionId session, Audio audio, std::string language, TranscribedReply reply);

  /// Speaks `text` as mp3 and keeps that under `name`. `on_grown` is called as more of it is there;
  /// not after `reply`. Errors as above.
  Call speak(SessionId session, std::string name, std::string text, std::string voice,
             GrownReply on_grown, SpokenReply reply);

  /// Ends a call. Unknown: no effect.
  void cancel(Call call);

  using KeptReply = std::function<void(Result<VoiceInput>)>;

  /// Looks into an upload and, where it is audio that plays, makes it durable under `name`. `reply`
  /// is called once, on any thread. Errors: unsupported, unprocessable, too_large, unavailable
  /// (also where too many wait for it).
  void keep_upload(SessionId session, std::string name, std::shared_ptr<const UniqueFd> file,
                   KeptReply reply);

  /// What is kept. Blocks.
  const storage::AudioFiles& files() const noexcept;

  /// Removes all recordings of a session. `reply` is called once, on any thread. Errors:
  /// unavailable.
  void erase(const SessionId& session, const SessionGateway::StatusReply& reply);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace parlance::actors
