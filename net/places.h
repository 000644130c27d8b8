// So many at once of something, in the whole node. Any thread; what was taken may outlive this.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>

namespace parlance::net {

class Places {
 public:
  /// One place, given back with the last copy.
  using Place = std::shared_ptr<void>;

  explicit Places(std::size_t most) : most_(most) {}

  std::size_t most() const noexcept { return most_; }
  /// May be more than `most` for a moment, while one that is not given is asked for.
  std::size_t taken() const noexcept { return taken_->load(std::memory_order_relaxed); }

  /// Null: all are taken.
  Place take() {
    if (taken_->fetch_add(1, std::memory_order_relaxed) < most_) {
      return {taken_.get(), [taken = taken_](void*) { give_back(*taken); }};
    }
    give_back(*taken_);
    return nullptr;
  }

 private:
  static void give_back(std::atomic<std::size_t>& taken) noexcept {
    taken.fetch_sub(1, std::memory_order_relaxed);
  }

  const std::size_t most_;
  const std::shared_ptr<std::atomic<std::size_t>> taken_ =
      std::make_shared<std::atomic<std::size_t>>(0);
};

}  // namespace parlance::net
