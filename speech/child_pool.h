// Children of parlance-speech, some of each task started before they are asked for: loaded,
// confined, waiting for the one request that each serves. Probes are kept so from the start, the
// rest from their first use on, since a server that never speaks offline need not pay for it.
//
// Owner: SpeechPrograms. Thread: any. The mutex guards the lists of those that wait; a thread of
// the pool's own starts them, because the kernel ends a child with the thread that started it.
#pragma once

#include <array>
#include <condition_variable>
#include <deque>
#include <optional>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "confined/child_process.h"
#include "speech/frame.h"
#include "speech/options.h"

namespace parlance::speech {

class ChildPool {
 public:
  /// `options` must outlive the pool.
  explicit ChildPool(const Options& options);
  ChildPool(const ChildPool&) = delete;
  ChildPool& operator=(const ChildPool&) = delete;
  /// Ends those that wait. Blocks until one that is being started is ready, or late.
  ~ChildPool();

  /// One that waits, if any. It may have died waiting: then it does not take its request.
  std::optional<confined::ChildProcess> take_waiting(Task task);

  /// A new one, ready for its request; the calling thread must outlive it. Errors: unavailable.
  Result<confined::ChildProcess> start(Task task) const;

  /// Takes back a child that has served its request, if there was one, ends it and starts those
  /// that are missing: all in the pool's thread, as none of it must cost the request.
  void give_back(Task task, std::optional<confined::ChildProcess> child);

 private:
  struct Waiting {
    bool wanted = false;
    std::deque<confined::ChildProcess> children;
  };
  void keep_filled();
  std::optional<Task> missing() const PARLANCE_ANNOTATE(requires_capability(mutex_));
  void fill(Task task) PARLANCE_ANNOTATE(requires_capability(mutex_));

  const Options& options_;
  Mutex mutex_;
  std::condition_variable_any changed_;
  std::array<Waiting, kTaskNames.size()> waiting_ GUARDED_BY(mutex_);
  std::vector<confined::ChildProcess> served_ GUARDED_BY(mutex_);
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

/// Wall time, and CPU time, that `task` may take.
std::chrono::seconds time_limit(const Options& options, Task task);

}  // namespace parlance::speech
