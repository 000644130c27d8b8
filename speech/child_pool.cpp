#include "speech/child_pool.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

#include "base/log.h"
#include "base/thread.h"

namespace parlance::speech {
namespace {

using confined::ChildProcess;

constexpr const char* kProgramName = "parlance-speech";

}  // namespace

std::chrono::seconds time_limit(const Options& options, Task task) {
  switch (task) {
    case Task::probe:
      return options.probe_timeout;
    case Task::transcribe:
      return options.transcribe_timeout;
    case Task::speak_english:
    case Task::speak_arabic:
      break;
  }
  return options.speak_timeout;
}

ChildPool::ChildPool(const Options& options, Task task)
    : options_(options),
      task_(task),
      wanted_(task == Task::probe),
      thread_([this] { keep_filled(); }) {}

ChildPool::~ChildPool() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

Result<ChildProcess> ChildPool::take() {
  mutex_.lock();
  const std::uint64_t failures = failures_;
  if (children_.empty()) {
    ++awaited_;
    changed_.notify_all();
    while (children_.empty() && failures_ == failures) changed_.wait(mutex_);
    --awaited_;
  }
  std::optional<ChildProcess> child;
  if (!children_.empty()) {
    child.emplace(std::move(children_.front()));
    children_.pop_front();
  }
  mutex_.unlock();
  if (!child) return Error{Errc::unavailable, "the program for speech did not start"};
  return std::move(*child);
}

void ChildPool::refill() {
  if (options_.warm <= 0) return;
  {
    const MutexLock lock(mutex_);
    wanted_ = true;
  }
  changed_.notify_all();
}

bool ChildPool::missing() const {
  const auto warm = static_cast<std::size_t>(wanted_ ? std::max(options_.warm, 0) : 0);
  return children_.size() < awaited_ + warm;
}

void ChildPool::keep_filled() {
  name_thread("speech");
  // For the program and its children, too: what is forked for later does not interrupt the request
  // that has just been served.
  become_background_thread();
  mutex_.lock();
  while (!stopping_) {
    if (!missing()) {
      changed_.wait(mutex_);
      continue;
    }
    mutex_.unlock();
    auto child = fork();
    mutex_.lock();
    if (child) {
      children_.push_back(std::move(*child));
    } else {
      // Until somebody asks again: what fails now fails in a moment, too.
      wanted_ = false;
      ++failures_;
    }
    if (awaited_ > 0) changed_.notify_all();
  }
  mutex_.unlock();
}

/// A child of the program that runs, or else of one that is started for it. Tried again once,
/// unless the program does not even start.
Result<ChildProcess> ChildPool::fork() {
  const bool was_there = program_.has_value();
  auto child = try_fork();
  if (!child && (was_there || program_)) return try_fork();
  return child;
}

Result<ChildProcess> ChildPool::try_fork() {
  if (!program_) {
    const std::string path = confined::program_path(options_.program, kProgramName);
    auto started = ChildProcess::start(
        path,
        {kTaskNames[static_cast<std::size_t>(task_)], std::to_string(options_.memory_bytes_max),
         std::to_string(time_limit(options_, task_).count()),
         std::to_string(options_.audio_max.count()), std::to_string(options_.text_bytes_max)});
    if (!started) {
      log::error("cannot start the program for speech error={}",
                 log::value(started.error().detail));
      return started;
    }
    program_.emplace(std::move(*started));
  }
  auto child = program_->fork(std::chrono::steady_clock::now() + kStartTimeout);
  if (child) return child;
  if (child.error().code == Errc::resource_exhausted) {
    // Its other children are at work.
    log::error("the program for speech cannot fork task={}",
               kTaskNames[static_cast<std::size_t>(task_)]);
    return child;
  }
  const int status = program_->end();
  program_.reset();
  log::error("the program for speech does not start or fork task={} status={} error={}",
             kTaskNames[static_cast<std::size_t>(task_)], status, log::value(child.error().detail));
  return child;
}

}  // namespace parlance::speech
