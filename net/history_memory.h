// What one answer holds of Options::history_bytes_total_max. Thread: the core.
#pragma once

#include <cstddef>
#include <memory>

#include "net/core.h"

namespace parlance::net {

class HistoryMemory {
 public:
  explicit HistoryMemory(Core& core) : core_(core.shared_from_this()) {}
  ~HistoryMemory() { core_->history_bytes -= bytes_; }
  HistoryMemory(const HistoryMemory&) = delete;
  HistoryMemory& operator=(const HistoryMemory&) = delete;
  void add(std::size_t bytes) {
    bytes_ += bytes;
    core_->history_bytes += bytes;
  }
  /// From now on so many in all.
  void set(std::size_t bytes) {
    core_->history_bytes -= bytes_;
    bytes_ = 0;
    add(bytes);
  }

 private:
  std::shared_ptr<Core> core_;
  std::size_t bytes_ = 0;
};

}  // namespace parlance::net
