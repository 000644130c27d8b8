// A timer wheel: what is due at a tick, in constant time, without a timer per connection.
// One per core; not thread-safe. An entry is a value (a slot and its generation), so nothing has to
// be taken out when its owner dies: the owner is looked up when the entry is due.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace parlance::net {

/// Counts the sweeps of a core since its start.
using Tick = std::uint32_t;

template <class Entry>
class DueWheel {
 public:
  static constexpr Tick kReach = 255;  ///< Later ones are looked at earlier, by being added again.

  Tick now() const noexcept { return now_; }

  /// Adds `entry` for `tick`, at least one and at most kReach ticks from now. Returns the tick.
  Tick add(Tick tick, Entry entry) {
    if (tick <= now_) tick = now_ + 1;
    if (tick > now_ + kReach) tick = now_ + kReach;
    slots_[tick & kReach].push_back(entry);
    return tick;
  }

  /// Moves on by one tick and calls `visit` for every entry that is due. `visit` may add entries.
  template <class Visit>
  void advance(Visit visit) {
    ++now_;
    std::vector<Entry> due = std::move(slots_[now_ & kReach]);
    slots_[now_ & kReach] = {};
    for (const Entry& entry : due) visit(entry);
  }

 private:
  Tick now_ = 0;
  std::array<std::vector<Entry>, kReach + 1> slots_;
};

}  // namespace parlance::net
