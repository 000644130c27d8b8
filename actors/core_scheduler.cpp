#include "actors/core_scheduler.h"

#include <utility>

#include <boost/asio/post.hpp>
#include <pthread.h>

#include "base/log.h"

namespace parlance::actors {
namespace {

/// The worker whose thread this is; null on any other thread.
thread_local CoreWorker* this_worker = nullptr;
thread_local std::size_t this_core = 0;

}  // namespace

CoreWorker::CoreWorker(caf::actor_system* system, boost::asio::io_context& io,
                       std::size_t max_throughput)
    : caf::execution_unit(system),
      io_(io),
      keep_running_(boost::asio::make_work_guard(io_)),
      max_throughput_(max_throughput) {}

void CoreWorker::exec_later(caf::resumable* job) {
  if (this_worker == this) {
    ready_.push_back(job);
    if (!run_posted_) {
      run_posted_ = true;
      boost::asio::post(io_, [this] { run_ready(); });
    }
    return;
  }
  bool first = false;
  {
    MutexLock lock(mutex_);
    first = inbox_.empty();
    inbox_.push_back(job);
  }
  if (!first) return;
  boost::asio::post(io_, [this] {
    std::vector<caf::resumable*> jobs;
    {
      MutexLock lock(mutex_);
      jobs.swap(inbox_);
    }
    for (caf::resumable* ready : jobs) run(ready);
  });
}

void CoreWorker::run_ready() {
  run_posted_ = false;
  running_.swap(ready_);
  for (caf::resumable* job : running_) run(job);
  running_.clear();
}

void CoreWorker::run(caf::resumable* job) {
  switch (job->resume(this, max_throughput_)) {
    case caf::resumable::resume_later:
      exec_later(job);
      break;
    case caf::resumable::done:
    case caf::resumable::awaiting_message:
      caf::intrusive_ptr_release(job);
      break;
    case caf::resumable::shutdown_execution_unit:
      break;
  }
}

caf::resumable* CoreWorker::take_left_over() {
  MutexLock lock(mutex_);
  for (auto* jobs : {&ready_, &inbox_}) {
    if (jobs->empty()) continue;
    caf::resumable* job = jobs->back();
    jobs->pop_back();
    return job;
  }
  return nullptr;
}

void CoreWorker::run_thread() {
  this_worker = this;
  for (;;) {
    try {
      io_.run();
      return;
    } catch (const std::exception& e) {
      // A handler's bug must not take the core's other sessions down with it.
      log::error("exception on a core thread what={}", log::value(e.what()));
    }
  }
}

void CoreScheduler::install(caf::actor_system_config& config, const Loops& loops,
                            CoreScheduler*& out) {
  config.module_factories.push_back(
      [&loops, &out](caf::actor_system& system) -> caf::actor_system::module* {
        out = new CoreScheduler(system, loops);
        return out;
      });
}

CoreScheduler::CoreScheduler(caf::actor_system& system, const Loops& loops)
    : abstract_coordinator(system) {
  // A handful of messages per turn: no actor starves the sockets of its core.
  constexpr std::size_t kMaxThroughput = 10;
  for (const auto& loop : loops) {
    workers_.push_back(std::make_unique<CoreWorker>(&system, *loop, kMaxThroughput));
  }
}

CoreScheduler::~CoreScheduler() = default;

void CoreScheduler::post(std::size_t core, std::function<void()> work) {
  boost::asio::post(workers_[core]->io(), std::move(work));
}

void CoreScheduler::every(std::size_t core, std::chrono::milliseconds interval,
                          std::function<void()> work) {
  arm(std::make_shared<boost::asio::steady_timer>(workers_[core]->io()), interval, std::move(work));
}

void CoreScheduler::arm(std::shared_ptr<boost::asio::steady_timer> timer,
                        std::chrono::milliseconds interval, std::function<void()> work) {
  timer->expires_after(interval);
  auto& waiting = *timer;
  waiting.async_wait([this, timer = std::move(timer), interval,
                      work = std::move(work)](const boost::system::error_code& ec) mutable {
    if (ec || stopping_.load(std::memory_order_relaxed)) return;
    work();
    arm(std::move(timer), interval, std::move(work));
  });
}

std::size_t CoreScheduler::current_core() const noexcept {
  return this_worker == nullptr ? workers_.size() : this_core;
}

void CoreScheduler::enqueue(caf::resumable* job) {
  const auto* bound = dynamic_cast<const CoreBound*>(job);
  workers_[bound == nullptr ? 0 : bound->core()]->exec_later(job);
}

void CoreScheduler::start() {
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    CoreWorker* worker = workers_[i].get();
    worker->thread_ = std::thread([worker, i] {
      this_core = i;
      const std::string name = "core-" + std::to_string(i);
      pthread_setname_np(pthread_self(), name.c_str());
      worker->run_thread();
    });
  }
  clock_thread_ = std::thread([this] { clock_.run_dispatch_loop(); });
  abstract_coordinator::start();
}

void CoreScheduler::stop() {
  stopping_.store(true, std::memory_order_relaxed);
  stop_actors();
  for (auto& worker : workers_) {
    worker->keep_running_.reset();
    worker->io_.stop();
  }
  for (auto& worker : workers_) worker->thread_.join();
  clock_.cancel_dispatch_loop();
  clock_thread_.join();
  for (auto& worker : workers_) {
    while (caf::resumable* job = worker->take_left_over()) cleanup_and_release(job);
  }
}

}  // namespace parlance::actors
