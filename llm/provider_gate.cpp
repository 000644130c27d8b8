#include "llm/provider_gate.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "base/log.h"
#include "base/metrics.h"

namespace parlance::llm {

ProviderGate::Permit& ProviderGate::Permit::operator=(Permit&& other) noexcept {
  if (this == &other) return *this;
  end(Outcome::unknown);
  gate_ = std::move(other.gate_);
  other.gate_ = nullptr;
  probe_ = other.probe_;
  return *this;
}

void ProviderGate::Permit::end(Outcome outcome) {
  if (const auto gate = std::exchange(gate_, nullptr)) gate->leave(outcome, probe_);
}

ProviderGate::ProviderGate(const ProviderOptions& options, std::function<SteadyTime()> now)
    : name_(options.name),
      in_flight_max_(options.in_flight_max),
      queue_max_(options.queue_max),
      breaker_failures_(options.breaker_failures),
      breaker_open_(options.breaker_open),
      now_(std::move(now)) {
  CHECK(in_flight_max_ > 0);
  CHECK(breaker_failures_ > 0);
}

Error ProviderGate::refusal() const {
  return {Errc::unavailable,
          fmt::format("provider {} failed {} times in a row and is left alone for {} ms", name_,
                      breaker_failures_, breaker_open_.count())};
}

Result<ProviderGate::Entry> ProviderGate::enter(std::function<void()> notify) {
  const MutexLock lock(mutex_);
  bool probe = false;
  if (!admits(&probe)) return refusal();
  if (in_flight_ < in_flight_max_ && waiters_.empty()) {
    ++in_flight_;
    metrics::get().model_calls_in_flight.add(1);
    return Entry{Permit(shared_from_this(), probe), 0};
  }
  // A probe that found no place leaves the probing to the next call.
  if (probe) probing_ = false;
  if (waiters_.size() >= queue_max_) {
    return Error{Errc::resource_exhausted,
                 fmt::format("provider {} has {} calls in flight and {} waiting", name_, in_flight_,
                             waiters_.size())};
  }
  const Ticket ticket = ++last_ticket_;
  waiters_.push_back({ticket, std::move(notify)});
  metrics::get().model_calls_queued.add(1);
  return Entry{Permit(), ticket};
}

Result<ProviderGate::Permit> ProviderGate::claim(Ticket ticket) {
  const MutexLock lock(mutex_);
  const auto found = answered_.find(ticket);
  if (found == answered_.end()) {
    return Error{Errc::cancelled, fmt::format("provider {}: no such ticket", name_)};
  }
  const bool has_place = found->second;
  answered_.erase(found);
  if (!has_place) return refusal();
  const bool probe = state_ == State::half_open && !probing_;
  if (probe) probing_ = true;
  return Permit(shared_from_this(), probe);
}

void ProviderGate::abandon(Ticket ticket) {
  const MutexLock lock(mutex_);
  const auto waiting = std::find_if(waiters_.begin(), waiters_.end(),
                                    [&](const Waiter& waiter) { return waiter.ticket == ticket; });
  if (waiting != waiters_.end()) {
    waiters_.erase(waiting);
    metrics::get().model_calls_queued.add(-1);
    return;
  }
  const auto answered = answered_.find(ticket);
  if (answered == answered_.end()) return;
  const bool has_place = answered->second;
  answered_.erase(answered);
  if (!has_place) return;
  --in_flight_;
  metrics::get().model_calls_in_flight.add(-1);
  serve_waiters();
}

std::chrono::milliseconds ProviderGate::open_for() {
  const MutexLock lock(mutex_);
  return time_left();
}

ProviderGate::Reading ProviderGate::read() {
  const MutexLock lock(mutex_);
  const std::chrono::milliseconds left = time_left();
  // The next call will be let in, though it did not come yet.
  const bool over = state_ == State::open && left.count() == 0;
  return {waiters_.size(), over ? State::half_open : state_, left};
}

std::chrono::milliseconds ProviderGate::time_left() const {
  if (state_ != State::open) return std::chrono::milliseconds(0);
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(open_until_ - now_());
  return std::max(left, std::chrono::milliseconds(0));
}

void ProviderGate::leave(Outcome outcome, bool probe) {
  const MutexLock lock(mutex_);
  CHECK(in_flight_ > 0);
  --in_flight_;
  metrics::get().model_calls_in_flight.add(-1);
  record(outcome, probe);
  serve_waiters();
}

bool ProviderGate::admits(bool* probe) {
  if (state_ == State::closed) return true;
  if (state_ == State::open) {
    if (now_() < open_until_) return false;
    state_ = State::half_open;
    probing_ = false;
  }
  if (probing_) return false;
  probing_ = true;
  *probe = true;
  return true;
}

void ProviderGate::record(Outcome outcome, bool probe) {
  if (probe) probing_ = false;
  if (state_ == State::closed) {
    if (outcome == Outcome::served) failures_in_a_row_ = 0;
    if (outcome == Outcome::failed && ++failures_in_a_row_ >= breaker_failures_) open();
    return;
  }
  // Calls from before the breaker opened say nothing new about it.
  if (!probe || state_ != State::half_open) return;
  if (outcome == Outcome::failed) open();
  if (outcome == Outcome::served) {
    state_ = State::closed;
    failures_in_a_row_ = 0;
    log::info("model provider is back provider={}", name_);
  }
}

void ProviderGate::open() {
  state_ = State::open;
  failures_in_a_row_ = 0;
  open_until_ = now_() + breaker_open_;
  metrics::get().model_breaker_opened.add();
  log::warn("model provider is failing and left alone provider={} ms={}", name_,
            breaker_open_.count());
  for (Waiter& waiter : waiters_) {
    answered_.emplace(waiter.ticket, false);
    waiter.notify();
  }
  metrics::get().model_calls_queued.add(-static_cast<double>(waiters_.size()));
  waiters_.clear();
}

void ProviderGate::serve_waiters() {
  while (!waiters_.empty() && in_flight_ < in_flight_max_) {
    ++in_flight_;
    metrics::get().model_calls_in_flight.add(1);
    metrics::get().model_calls_queued.add(-1);
    const Waiter waiter = std::move(waiters_.front());
    waiters_.pop_front();
    answered_.emplace(waiter.ticket, true);
    waiter.notify();
  }
}

}  // namespace parlance::llm
