// Admission to one provider, counted for the whole node: places for calls in flight, a bounded
// queue for a place, and a circuit breaker. Shared by the dispatchers of all cores. Any thread.
//
// Guarded by `mutex_`: everything that changes. A waiter's `notify` runs under it, so it may only
// post to its own core; that is what makes `abandon` final: after it no notify of that ticket runs.
//
// The breaker: `breaker_failures` failures in a row open it. While it is open every call is refused
// at once, those waiting too. After `breaker_open` one call is let in as a probe; how it ends
// decides whether the breaker closes or opens again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <unordered_map>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/result.h"
#include "llm/options.h"

namespace parlance::llm {

class ProviderGate : public std::enable_shared_from_this<ProviderGate> {
 public:
  /// How a call ended, as far as the provider's health goes.
  enum class Outcome : unsigned char {
    served,   ///< It answered, if only to refuse this request.
    failed,   ///< A failure that another request would probably meet as well.
    unknown,  ///< Cancelled before it showed.
  };

  /// A place. Given back by `end`, or by its destructor with Outcome::unknown.
  class [[nodiscard]] Permit {
   public:
    Permit() = default;
    Permit(Permit&& other) noexcept { *this = std::move(other); }
    Permit& operator=(Permit&& other) noexcept;
    ~Permit() { end(Outcome::unknown); }
    void end(Outcome outcome);
    explicit operator bool() const { return gate_ != nullptr; }

   private:
    friend class ProviderGate;
    Permit(std::shared_ptr<ProviderGate> gate, bool probe)
        : gate_(std::move(gate)), probe_(probe) {}
    std::shared_ptr<ProviderGate> gate_;
    bool probe_ = false;
  };

  using Ticket = std::uint64_t;  ///< Never 0.

  /// Either a place at once, or a ticket of the queue.
  struct Entry {
    Permit permit;
    Ticket ticket = 0;
  };

  explicit ProviderGate(const ProviderOptions& options,
                        std::function<SteadyTime()> now = std::chrono::steady_clock::now);

  /// Asks for a place. If there is none now, `notify` is called once, under the gate's lock and
  /// from any thread, as soon as `claim` has an answer. Errors: unavailable (the breaker is open),
  /// resource_exhausted (the queue is full).
  Result<Entry> enter(std::function<void()> notify);

  /// The place that `ticket` waited for, after its notify. Errors: unavailable (the breaker opened
  /// while it waited), cancelled (the ticket is not known, or abandoned).
  Result<Permit> claim(Ticket ticket);

  /// Gives up a ticket, whether it still waits or not. Unknown: no effect.
  void abandon(Ticket ticket);

  /// How long the breaker stays open from now; zero when it is not open.
  std::chrono::milliseconds open_for();

  enum class State : unsigned char { closed, open, half_open };
  /// What holds at this moment.
  struct Reading {
    std::size_t waiting = 0;
    State state = State::closed;
    std::chrono::milliseconds open_for{0};
  };
  Reading read();

 private:
  struct Waiter {
    Ticket ticket = 0;
    std::function<void()> notify;
  };

  void leave(Outcome outcome, bool probe);
  std::chrono::milliseconds time_left() const PARLANCE_ANNOTATE(requires_capability(mutex_));
  // With mutex_ held:
  bool admits(bool* probe) PARLANCE_ANNOTATE(requires_capability(mutex_));
  void record(Outcome outcome, bool probe) PARLANCE_ANNOTATE(requires_capability(mutex_));
  void open() PARLANCE_ANNOTATE(requires_capability(mutex_));
  void serve_waiters() PARLANCE_ANNOTATE(requires_capability(mutex_));
  Error refusal() const;

  const std::string name_;
  const std::size_t in_flight_max_;
  const std::size_t queue_max_;
  const int breaker_failures_;
  const std::chrono::milliseconds breaker_open_;
  const std::function<SteadyTime()> now_;

  Mutex mutex_;
  std::size_t in_flight_ GUARDED_BY(mutex_) = 0;
  std::deque<Waiter> waiters_ GUARDED_BY(mutex_);
  // Tickets that were notified and not yet claimed: true holds a place, false was refused.
  std::unordered_map<Ticket, bool> answered_ GUARDED_BY(mutex_);
  Ticket last_ticket_ GUARDED_BY(mutex_) = 0;
  State state_ GUARDED_BY(mutex_) = State::closed;
  bool probing_ GUARDED_BY(mutex_) = false;
  int failures_in_a_row_ GUARDED_BY(mutex_) = 0;
  SteadyTime open_until_ GUARDED_BY(mutex_);
};

}  // namespace parlance::llm
