// Frames waiting to be written to one socket. Frames are immutable and shared, so that one encoded
// frame waits in many queues. Holds no memory while empty. Thread: the core.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "schemas/ids.h"

namespace parlance::net {

/// Bytes for the wire, made once and shared by every connection that sends them.
using Frame = std::shared_ptr<const std::string>;

class OutboundQueue {
 public:
  /// Adds `frame`; `seq` is the recorded event that it tells, or 0.
  void push(Frame frame, EventSeq seq = 0);

  enum class Flushed : unsigned char { all, blocked, failed };
  /// Writes without blocking until the queue is empty or the socket is full. Adds what was written
  /// to `bytes_written`.
  Flushed flush(int fd, std::uint64_t& bytes_written);

  /// Drops what was not begun to be written; what remains is the rest of one frame, if any.
  void drop_unsent();

  bool empty() const noexcept { return items_.empty(); }
  std::size_t bytes() const noexcept { return bytes_; }
  /// Bytes behind the first frame, which may itself be longer than any limit.
  std::size_t bytes_behind_first() const noexcept {
    return items_.empty() ? 0 : bytes_ - (items_[first_].frame->size() - first_begun_);
  }
  /// The last recorded event whose frame was wholly handed to the kernel; 0 for none.
  EventSeq last_seq_written() const noexcept { return last_seq_written_; }

 private:
  struct Item {
    Frame frame;
    EventSeq seq = 0;
  };
  void pop_written(std::size_t bytes);

  std::vector<Item> items_;
  std::uint32_t first_ = 0;        ///< Items before it are written.
  std::uint32_t first_begun_ = 0;  ///< Bytes of items_[first_] that are written.
  std::size_t bytes_ = 0;
  EventSeq last_seq_written_ = 0;
};

}  // namespace parlance::net
