#pragma once
// An epoll loop with one timer heap, for programs whose own cost must not show in what they
// measure. It is not the server's loop: no locks, no type erasure on the read path, no allocation
// per event.
//
// Thread: everything here belongs to the thread that calls run(). Callbacks may add, change, retire
// and cancel anything, themselves included; a retired source is destroyed after the current round.
// Timers are absolute and exact to the kernel's high resolution timer (the slack is set to 1 ns).

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "benchmarks/support/fd.h"

namespace parlance::benchmarks {

class EventLoop;

/// Something with a descriptor. Owned elsewhere; must outlive its registration.
class EventSource {
 public:
  virtual ~EventSource() = default;

  /// `events` are epoll's bits (EPOLLIN, EPOLLOUT, EPOLLHUP, ...).
  virtual void on_ready(uint32_t events) = 0;
};

/// One deadline with a callback. Cancelled by its destructor; may be set again from its own
/// callback.
class Timer {
 public:
  Timer(EventLoop& loop, std::function<void()> on_due) : loop_(loop), on_due_(std::move(on_due)) {}
  ~Timer() { cancel(); }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  /// Fires once at `due_ns` on the monotonic clock; replaces an earlier setting.
  void set(int64_t due_ns);
  void cancel();
  bool is_set() const { return slot_ != kNoSlot; }

 private:
  friend class EventLoop;
  static constexpr uint32_t kNoSlot = UINT32_MAX;

  EventLoop& loop_;
  std::function<void()> on_due_;
  int64_t due_ns_ = 0;
  uint32_t slot_ = kNoSlot;
};

class EventLoop {
 public:
  /// Throws std::system_error when epoll cannot be set up.
  EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  /// Throw std::system_error on failure (a bug, or the descriptor limit of epoll itself).
  void add(int fd, uint32_t events, EventSource* source);
  void change(int fd, uint32_t events, EventSource* source);
  void remove(int fd);

  /// Destroys `source` once no event of the current round can reach it any more.
  void retire(std::unique_ptr<EventSource> source);

  /// Runs until stop(). Returns at once if stop() was called before.
  void run();
  void stop() { stopped_ = true; }

  /// Runs until `done()` is true or `deadline_ns` has passed; returns done().
  /// The condition is looked at after every round of events.
  bool run_until(const std::function<bool()>& done, int64_t deadline_ns);

  /// The time at which the current round began.
  int64_t round_ns() const { return round_ns_; }

 private:
  friend class Timer;

  void run_once(int64_t deadline_ns);
  void fire_due_timers();

  // The heap of timers: four children per node, ordered by due_ns_.
  void heap_set(Timer* timer, int64_t due_ns);
  void heap_erase(Timer* timer);
  void sift_up(uint32_t slot);
  void sift_down(uint32_t slot);
  void place(uint32_t slot, Timer* timer);

  Fd epoll_;
  std::vector<Timer*> heap_;
  std::vector<std::unique_ptr<EventSource>> retired_;
  int64_t round_ns_ = 0;
  int64_t fired_ns_ = 0;
  bool stopped_ = false;
};

}  // namespace parlance::benchmarks
