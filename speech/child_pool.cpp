#include "speech/child_pool.h"

#include <chrono>
#include <string>
#include <string_view>
#include <utility>

#include "base/log.h"
#include "base/thread.h"

namespace parlance::speech {
namespace {

using confined::ChildProcess;

constexpr const char* kProgramName = "parlance-speech";
// The slowest loads 60 MiB of model, perhaps from a busy disk.
constexpr std::chrono::seconds kStartTimeout{30};
constexpr std::size_t kServedMax = 16;

std::size_t index_of(Task task) {
  return static_cast<std::size_t>(task);
}

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

ChildPool::ChildPool(const Options& options) : options_(options) {
  waiting_[index_of(Task::probe)].wanted = true;
  if (options_.warm > 0) thread_ = std::thread([this] { keep_filled(); });
}

ChildPool::~ChildPool() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

std::optional<ChildProcess> ChildPool::take_waiting(Task task) {
  const MutexLock lock(mutex_);
  auto& children = waiting_[index_of(task)].children;
  if (children.empty()) return std::nullopt;
  std::optional<ChildProcess> child(std::move(children.front()));
  children.pop_front();
  return child;
}

Result<ChildProcess> ChildPool::start(Task task) const {
  const std::string program = confined::program_path(options_.program, kProgramName);
  auto child = ChildProcess::start(
      program,
      {kTaskNames[index_of(task)], std::to_string(options_.memory_bytes_max),
       std::to_string(time_limit(options_, task).count()),
       std::to_string(options_.audio_max.count()), std::to_string(options_.text_bytes_max)});
  if (!child) {
    log::error("cannot start the program for speech error={}", log::value(child.error().detail));
    return child;
  }
  char ready[kReady.size()];
  const auto heard = child->receive(ready, std::chrono::steady_clock::now() + kStartTimeout);
  if (heard && std::string_view(ready, sizeof ready) == kReady) return child;
  const int status = child->end();
  log::error(
      "the program for speech did not start or cannot confine itself program={} task={} status={}",
      log::value(program), kTaskNames[index_of(task)], status);
  return Error{Errc::unavailable, "the program for speech did not start"};
}

void ChildPool::give_back(Task task, std::optional<ChildProcess> child) {
  // Without a thread, or with one that is behind, it ends here.
  if (options_.warm <= 0) return;
  {
    const MutexLock lock(mutex_);
    waiting_[index_of(task)].wanted = true;
    if (child && served_.size() < kServedMax) served_.push_back(std::move(*child));
  }
  changed_.notify_all();
}

std::optional<Task> ChildPool::missing() const {
  for (std::size_t i = 0; i < waiting_.size(); ++i) {
    const Waiting& waiting = waiting_[i];
    if (waiting.wanted && waiting.children.size() < static_cast<std::size_t>(options_.warm)) {
      return static_cast<Task>(i);
    }
  }
  return std::nullopt;
}

void ChildPool::keep_filled() {
  name_thread("speech");
  mutex_.lock();
  while (!stopping_) {
    if (!served_.empty()) {
      std::vector<ChildProcess> served;
      served.swap(served_);
      mutex_.unlock();
      served.clear();
      mutex_.lock();
    } else if (const auto task = missing()) {
      fill(*task);
    } else {
      changed_.wait(mutex_);
    }
  }
  mutex_.unlock();
}

void ChildPool::fill(Task task) {
  mutex_.unlock();
  auto child = start(task);
  mutex_.lock();
  Waiting& waiting = waiting_[index_of(task)];
  if (child) {
    waiting.children.push_back(std::move(*child));
  } else {
    // Until somebody asks again: what fails now fails in a moment, too.
    waiting.wanted = false;
  }
}

}  // namespace parlance::speech
