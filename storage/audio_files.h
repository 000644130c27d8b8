// Recordings of the agent platform: one file each, beside the store, in a folder of its session:
// audio/<session>/<name>.<ext> of the data directory. A file gets its name when it is whole, so a
// crash leaves none that is cut short; it has no name while it is written and goes with its
// descriptor.
//
// Owner: app/server. Thread: any; every call may block on the disk.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"
#include "schemas/audio.h"
#include "schemas/ids.h"

namespace parlance::storage {

/// A recording to be read: by position, since the descriptor is shared.
struct OpenAudio {
  std::shared_ptr<const UniqueFd> file;
  std::uint64_t bytes = 0;
  std::string_view type;  ///< MIME; lives for ever.
};

class AudioFiles {
 public:
  /// Makes `directory`, the data directory's audio/, where it is missing. Errors: unavailable.
  static Result<std::unique_ptr<AudioFiles>> open(const std::string& directory);

  /// An unnamed file for what is written now and may be kept. Errors: unavailable.
  Result<UniqueFd> create() const;

  /// Has the disk begin with the file, which keep() then waits for the less. Optional.
  static void begin_to_keep(int file);

  /// Makes the file that create() gave durable under its name, instead of one that a crash has left
  /// there. Errors: unavailable.
  Status keep(int file, const SessionId& session, const Audio& audio) const;

  /// Errors: not_found, unavailable.
  Result<OpenAudio> read(const SessionId& session, std::string_view name) const;

  /// Removes one recording, or all of a session; success where there is none. Errors: unavailable.
  Status remove(const SessionId& session, std::string_view name) const;
  Status erase(const SessionId& session) const;

  /// Removes the recordings of sessions that `is_there` says no to, and those that are older than
  /// `age_max` (0: none). Ends early when `go_on` says no. Errors: unavailable; the rest is done.
  Status sweep(std::chrono::milliseconds age_max,
               const std::function<bool(const SessionId&)>& is_there,
               const std::function<bool()>& go_on) const;

 private:
  AudioFiles(std::string path, UniqueFd directory);
  struct Folder {
    UniqueFd descriptor;
    bool made = false;  ///< Just now.
  };
  /// Gives the file its name, in the folder that is returned.
  Result<Folder> link(int file, const SessionId& session, const std::string& name) const;
  Status sweep_session(const std::string& name, std::chrono::milliseconds age_max) const;

  const std::string path_;
  const UniqueFd directory_;
};

}  // namespace parlance::storage
