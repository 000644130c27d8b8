// Confined children of parlance-speech for one task, each for one request. The program is started
// once and loads what the task needs; then it forks (confined/fork_loop.h), so that no request but
// the first waits for the loading. Some children are forked before they are asked for: those of a
// probe from the start, of other tasks from their first use on, since a server that never speaks
// offline need not pay for it.
//
// A program that has ended is started again when the next child is needed, once for each time.
//
// Owner: SpeechPrograms. Thread: any. A thread of the pool's own talks to the program, since what
// it starts inherits its priority; the mutex guards the list of the children.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <optional>
#include <thread>

#include "base/mutex.h"
#include "base/result.h"
#include "confined/child_process.h"
#include "speech/frame.h"
#include "speech/options.h"

namespace parlance::speech {

/// Until a child is there, and until it is ready. The slowest program loads 60 MiB of model,
/// perhaps from a busy disk.
inline constexpr std::chrono::seconds kStartTimeout{30};

class ChildPool {
 public:
  /// `options` must outlive the pool.
  ChildPool(const Options& options, Task task);
  ChildPool(const ChildPool&) = delete;
  ChildPool& operator=(const ChildPool&) = delete;
  /// Ends the program and those that wait. Blocks until one that is being forked is there, or late.
  ~ChildPool();

  /// One that waits, or a new one. It says kReady when it has confined itself, and may have died
  /// waiting. Errors: unavailable.
  Result<confined::ChildProcess> take();

  /// A request was served: those that are missing are forked, now that it costs no request.
  void refill();

 private:
  void keep_filled();
  bool missing() const PARLANCE_ANNOTATE(requires_capability(mutex_));
  Result<confined::ChildProcess> fork();
  Result<confined::ChildProcess> try_fork();

  const Options& options_;
  const Task task_;
  std::optional<confined::ChildProcess> program_;  ///< Of the pool's thread.
  Mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<confined::ChildProcess> children_ GUARDED_BY(mutex_);
  std::size_t awaited_ GUARDED_BY(mutex_) = 0;  ///< Those in take() that found none.
  std::uint64_t failures_ GUARDED_BY(mutex_) = 0;
  bool wanted_ GUARDED_BY(mutex_);  ///< That some wait.
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

/// Wall time, and CPU time, that `task` may take.
std::chrono::seconds time_limit(const Options& options, Task task);

}  // namespace parlance::speech
