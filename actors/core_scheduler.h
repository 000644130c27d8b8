// Runs actors on the threads that run their sockets: a CAF scheduler whose workers are Asio
// io_contexts, one per core (docs/adr/0004).
//
// Owner: actor_tree, through the actor system's module list. An actor that derives from CoreBound
// runs on its core's thread only; it shares that thread with its sockets and model calls, so what
// passes between them on one core crosses no thread. Actors that are not CoreBound run on core 0.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/detail/thread_safe_actor_clock.hpp>
#include <caf/execution_unit.hpp>
#include <caf/resumable.hpp>
#include <caf/scheduler/abstract_coordinator.hpp>

#include "base/mutex.h"

namespace parlance::actors {

/// What an actor derives from, beside its CAF base, to live on one core.
class CoreBound {
 public:
  explicit CoreBound(std::size_t core) : core_(core) {}
  virtual ~CoreBound() = default;
  std::size_t core() const noexcept { return core_; }

 private:
  std::size_t core_;
};

/// One core: an event loop, its thread, and the actors that are ready to run on it.
class CoreWorker final : public caf::execution_unit {
 public:
  CoreWorker(caf::actor_system* system, boost::asio::io_context& io, std::size_t max_throughput);

  boost::asio::io_context& io() noexcept { return io_; }
  /// CAF's way in: `job` is ready. Any thread.
  void exec_later(caf::resumable* job) override;
  void run_thread();

 private:
  friend class CoreScheduler;
  void run_ready();
  void run(caf::resumable* job);
  /// A job that became ready too late to run, after the thread has ended; null: no more.
  caf::resumable* take_left_over();

  boost::asio::io_context& io_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> keep_running_;
  const std::size_t max_throughput_;
  std::thread thread_;

  // This core's thread only.
  std::vector<caf::resumable*> ready_;
  std::vector<caf::resumable*> running_;
  bool run_posted_ = false;

  // From other threads; one post brings over all that came meanwhile.
  Mutex mutex_;
  std::vector<caf::resumable*> inbox_ GUARDED_BY(mutex_);
};

class CoreScheduler final : public caf::scheduler::abstract_coordinator {
 public:
  using Loops = std::vector<std::unique_ptr<boost::asio::io_context>>;

  /// One core per loop of `loops`, which must outlive the actor system: sockets may live longer
  /// than actors. `out` receives the scheduler when the actor system makes it.
  static void install(caf::actor_system_config& config, const Loops& loops, CoreScheduler*& out);

  CoreScheduler(caf::actor_system& system, const Loops& loops);
  ~CoreScheduler() override;

  std::size_t cores() const noexcept { return workers_.size(); }
  CoreWorker& worker(std::size_t core) noexcept { return *workers_[core]; }

  /// Runs `work` on `core`'s thread, later. Any thread.
  void post(std::size_t core, std::function<void()> work);

  /// Runs `work` on `core`'s thread every `interval` until the scheduler stops. Any thread.
  void every(std::size_t core, std::chrono::milliseconds interval, std::function<void()> work);

  /// Index of the calling core thread; `cores()` on any other thread.
  std::size_t current_core() const noexcept;

  // caf::scheduler::abstract_coordinator
  void enqueue(caf::resumable* job) override;
  caf::actor_clock& clock() noexcept override { return clock_; }
  void start() override;
  void stop() override;

 private:
  void arm(std::shared_ptr<boost::asio::steady_timer> timer, std::chrono::milliseconds interval,
           std::function<void()> work);

  std::vector<std::unique_ptr<CoreWorker>> workers_;
  std::atomic<bool> stopping_{false};
  caf::detail::thread_safe_actor_clock clock_;
  std::thread clock_thread_;
};

}  // namespace parlance::actors
