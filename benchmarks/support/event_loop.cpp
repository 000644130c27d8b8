#include "benchmarks/support/event_loop.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>
#include <system_error>

#include <sys/epoll.h>
#include <sys/prctl.h>

#include "benchmarks/support/clock.h"

namespace parlance::benchmarks {
namespace {

constexpr int64_t kForever = std::numeric_limits<int64_t>::max();
constexpr uint32_t kChildren = 4;
constexpr int kEventsPerRound = 512;

[[noreturn]] void throw_errno(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

}  // namespace

void Timer::set(int64_t due_ns) {
  loop_.heap_set(this, due_ns);
}

void Timer::cancel() {
  if (is_set()) loop_.heap_erase(this);
}

EventLoop::EventLoop() : epoll_(epoll_create1(EPOLL_CLOEXEC)), round_ns_(now_ns()) {
  if (!epoll_) throw_errno("epoll_create1");
  // Without this the kernel may fire timers 50 us late, which is more than many latencies here.
  prctl(PR_SET_TIMERSLACK, 1UL);
}

void EventLoop::add(int fd, uint32_t events, EventSource* source) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = source;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) throw_errno("epoll_ctl add");
}

void EventLoop::change(int fd, uint32_t events, EventSource* source) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = source;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) != 0) throw_errno("epoll_ctl mod");
}

void EventLoop::remove(int fd) {
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

void EventLoop::retire(std::unique_ptr<EventSource> source) {
  retired_.push_back(std::move(source));
}

void EventLoop::run() {
  while (!stopped_) run_once(kForever);
  stopped_ = false;
}

bool EventLoop::run_until(const std::function<bool()>& done, int64_t deadline_ns) {
  while (!stopped_ && !done()) {
    if (now_ns() >= deadline_ns) return false;
    run_once(deadline_ns);
  }
  return done();
}

void EventLoop::run_once(int64_t deadline_ns) {
  const int64_t wake_ns = heap_.empty() ? deadline_ns : std::min(deadline_ns, heap_[0]->due_ns_);
  timespec timeout{};
  if (wake_ns != kForever) {
    const int64_t left_ns = std::max<int64_t>(0, wake_ns - now_ns());
    timeout.tv_sec = left_ns / kNsPerSecond;
    timeout.tv_nsec = left_ns % kNsPerSecond;
  }
  std::array<epoll_event, kEventsPerRound> events;
  const int count = epoll_pwait2(epoll_.get(), events.data(), kEventsPerRound,
                                 wake_ns == kForever ? nullptr : &timeout, nullptr);
  if (count < 0 && errno != EINTR) throw_errno("epoll_pwait2");
  round_ns_ = now_ns();
  for (int i = 0; i < count; ++i) {
    static_cast<EventSource*>(events[i].data.ptr)->on_ready(events[i].events);
  }
  fire_due_timers();
  retired_.clear();
}

void EventLoop::fire_due_timers() {
  // The time is read once: sockets are served before what becomes due meanwhile.
  fired_ns_ = now_ns();
  while (!heap_.empty() && heap_[0]->due_ns_ <= fired_ns_ && !stopped_) {
    Timer* timer = heap_[0];
    heap_erase(timer);
    timer->on_due_();
  }
}

void EventLoop::heap_set(Timer* timer, int64_t due_ns) {
  // A callback that asks for "now" is due in the next round, never again in this one.
  timer->due_ns_ = std::max(due_ns, fired_ns_ + 1);
  if (!timer->is_set()) {
    heap_.push_back(timer);
    timer->slot_ = static_cast<uint32_t>(heap_.size() - 1);
  }
  sift_up(timer->slot_);
  sift_down(timer->slot_);
}

void EventLoop::heap_erase(Timer* timer) {
  const uint32_t slot = timer->slot_;
  timer->slot_ = Timer::kNoSlot;
  Timer* last = heap_.back();
  heap_.pop_back();
  if (last == timer) return;
  place(slot, last);
  sift_up(slot);
  sift_down(last->slot_);
}

void EventLoop::sift_up(uint32_t slot) {
  Timer* timer = heap_[slot];
  while (slot > 0) {
    const uint32_t parent = (slot - 1) / kChildren;
    if (heap_[parent]->due_ns_ <= timer->due_ns_) break;
    place(slot, heap_[parent]);
    slot = parent;
  }
  place(slot, timer);
}

void EventLoop::sift_down(uint32_t slot) {
  Timer* timer = heap_[slot];
  while (true) {
    const uint32_t first = slot * kChildren + 1;
    if (first >= heap_.size()) break;
    const uint32_t end = std::min<uint32_t>(first + kChildren, heap_.size());
    uint32_t least = first;
    for (uint32_t child = first + 1; child < end; ++child) {
      if (heap_[child]->due_ns_ < heap_[least]->due_ns_) least = child;
    }
    if (timer->due_ns_ <= heap_[least]->due_ns_) break;
    place(slot, heap_[least]);
    slot = least;
  }
  place(slot, timer);
}

void EventLoop::place(uint32_t slot, Timer* timer) {
  heap_[slot] = timer;
  timer->slot_ = slot;
}

}  // namespace parlance::benchmarks
