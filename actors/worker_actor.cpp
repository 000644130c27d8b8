#include "actors/worker_actor.h"

#include <utility>

#include <caf/actor_system.hpp>
#include <caf/send.hpp>

#include "base/check.h"
#include "base/thread.h"

namespace parlance::actors {

WorkerActor::WorkerActor(caf::actor_config& config) : WorkerHandle::base(config) {}

WorkerActor::behavior_type WorkerActor::make_behavior() {
  name_thread("worker");
  become_patient_thread();
  set_error_handler([](caf::error& /*error*/) {});
  // Whoever sent the work would wait for ever.
  set_exception_handler([](std::exception_ptr& /*thrown*/) -> caf::error {
    check_failed("no exception in a worker", __FILE__, __LINE__);
  });
  return {[](const RunWork& m) { m.work(); }};
}

WorkerPool::WorkerPool(caf::actor_system& system, std::size_t threads, std::size_t waiting_max)
    : waiting_max_(waiting_max), queue_(std::make_shared<Queue>()) {
  for (std::size_t i = 0; i < threads; ++i) {
    workers_.push_back(system.spawn<WorkerActor, caf::detached>());
  }
}

bool WorkerPool::run(std::function<void()> work) {
  if (queue_->waiting.fetch_add(1, std::memory_order_relaxed) >= waiting_max_) {
    queue_->waiting.fetch_sub(1, std::memory_order_relaxed);
    return false;
  }
  const MutexLock lock(mutex_);
  if (workers_.empty()) {
    queue_->waiting.fetch_sub(1, std::memory_order_relaxed);
    return false;
  }
  caf::anon_send(workers_[next_++ % workers_.size()],
                 RunWork{[queue = queue_, work = std::move(work)] {
                   queue->waiting.fetch_sub(1, std::memory_order_relaxed);
                   if (!queue->stopped.load(std::memory_order_relaxed)) work();
                 }});
  return true;
}

void WorkerPool::stop() {
  queue_->stopped = true;
  const MutexLock lock(mutex_);
  for (const WorkerHandle& worker : workers_) {
    caf::anon_send_exit(worker, caf::exit_reason::user_shutdown);
  }
  workers_.clear();
}

}  // namespace parlance::actors
