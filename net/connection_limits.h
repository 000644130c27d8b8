// How many connections may be open: of the process, and of one address. Any thread; a mutex guards
// the count by address, which is kept only where it is limited.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

namespace parlance::net {

class ConnectionLimits;

/// The right to one open connection; given back when it dies. Must not outlive the limits.
class [[nodiscard]] ConnectionPermit {
 public:
  ConnectionPermit() = default;
  ConnectionPermit(ConnectionPermit&& other) noexcept
      : limits_(std::exchange(other.limits_, nullptr)), address_(std::move(other.address_)) {}
  ConnectionPermit& operator=(ConnectionPermit&& other) noexcept {
    if (this != &other) {
      release();
      limits_ = std::exchange(other.limits_, nullptr);
      address_ = std::move(other.address_);
    }
    return *this;
  }
  ~ConnectionPermit() { release(); }
  void release() noexcept;

 private:
  friend class ConnectionLimits;
  ConnectionLimits* limits_ = nullptr;
  std::unique_ptr<std::string> address_;  ///< Only where addresses are limited.
};

class ConnectionLimits {
 public:
  ConnectionLimits(std::size_t open_max, std::size_t per_address_max)
      : open_max_(open_max), per_address_max_(per_address_max) {}

  /// Nothing when a limit is reached.
  std::optional<ConnectionPermit> acquire(const std::string& address);
  void set_open_max(std::size_t open_max) noexcept { open_max_ = open_max; }

  std::size_t open() const noexcept { return open_.load(std::memory_order_relaxed); }
  /// Blocks until none is open or the time is over; true when none is.
  bool wait_until_none(std::chrono::milliseconds time_max);

 private:
  friend class ConnectionPermit;
  void give_back(const std::string* address) noexcept;

  std::atomic<std::size_t> open_{0};
  std::atomic<std::size_t> open_max_;
  const std::size_t per_address_max_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::unordered_map<std::string, std::size_t> by_address_;  ///< Guarded by mutex_.
  std::atomic<bool> waited_for_{false};
};

}  // namespace parlance::net
