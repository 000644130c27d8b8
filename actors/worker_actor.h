// A thread for work that takes long or blocks: parsing bodies, hashing secrets, reading documents.
// Thread: its own, scheduled behind the cores'. Keeps no state; the bound of what waits is with
// WorkerPool, which all who send to it ask.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "actors/handles.h"
#include "base/mutex.h"

namespace parlance::actors {

class WorkerActor final : public WorkerHandle::base {
 public:
  explicit WorkerActor(caf::actor_config& config);
  behavior_type make_behavior() override;
  const char* name() const override { return "worker"; }
};

/// Some workers and how much waits for them. Any thread; shared by the node.
class WorkerPool {
 public:
  WorkerPool(caf::actor_system& system, std::size_t threads, std::size_t waiting_max);
  /// False: `waiting_max` wait already, or it was stopped; `work` is not taken.
  bool run(std::function<void()> work);
  /// Ends the threads after what they do now; what waits is dropped.
  void stop();

 private:
  struct Queue {
    std::atomic<std::size_t> waiting{0};
    std::atomic<bool> stopped{false};
  };

  const std::size_t waiting_max_;
  const std::shared_ptr<Queue> queue_;
  Mutex mutex_;  ///< Timers of the cores may go off while the node stops.
  std::vector<WorkerHandle> workers_ GUARDED_BY(mutex_);
  std::size_t next_ GUARDED_BY(mutex_) = 0;
};

}  // namespace parlance::actors
