#include "net/connection_limits.h"

#include "base/metrics.h"

namespace parlance::net {

void ConnectionPermit::release() noexcept {
  if (limits_ != nullptr) std::exchange(limits_, nullptr)->give_back(address_.get());
  address_.reset();
}

std::optional<ConnectionPermit> ConnectionLimits::acquire(const std::string& address) {
  if (open_.fetch_add(1, std::memory_order_relaxed) >= open_max_) {
    open_.fetch_sub(1, std::memory_order_relaxed);
    return std::nullopt;
  }
  ConnectionPermit permit;
  if (per_address_max_ > 0) {
    const std::lock_guard lock(mutex_);
    std::size_t& count = by_address_[address];
    if (count >= per_address_max_) {
      open_.fetch_sub(1, std::memory_order_relaxed);
      return std::nullopt;
    }
    ++count;
    permit.address_ = std::make_unique<std::string>(address);
  }
  permit.limits_ = this;
  metrics::get().connections_open.add(1);
  return permit;
}

void ConnectionLimits::give_back(const std::string* address) noexcept {
  metrics::get().connections_open.add(-1);
  if (address != nullptr) {
    const std::lock_guard lock(mutex_);
    const auto place = by_address_.find(*address);
    if (place != by_address_.end() && --place->second == 0) by_address_.erase(place);
  }
  if (open_.fetch_sub(1) == 1 && waited_for_) {
    const std::lock_guard lock(mutex_);
    changed_.notify_all();
  }
}

bool ConnectionLimits::wait_until_none(std::chrono::milliseconds time_max) {
  std::unique_lock lock(mutex_);
  waited_for_ = true;
  return changed_.wait_for(lock, time_max, [this] { return open_ == 0; });
}

}  // namespace parlance::net
