// What one answer holds of Options::history_bytes_total_max. Thread: the core.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string_view>

#include <fmt/format.h>

#include "dialects/problem.h"
#include "net/core.h"

namespace parlance::net {

/// 503 where that much is held already; `what` is being read, in the plural.
inline std::optional<dialects::Problem> too_much_is_read(const Core& core, std::string_view what) {
  if (core.history_bytes < core.options().history_bytes_total_max) return std::nullopt;
  dialects::Problem problem{
      .status = 503,
      .detail = fmt::format(
          "too many {} are being read; try again later, or with a smaller `limit`", what)};
  problem.retry_after = std::chrono::seconds(1);
  return problem;
}

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
