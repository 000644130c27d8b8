#include "net/outbound_queue.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include <sys/socket.h>
#include <sys/uio.h>

namespace parlance::net {

void OutboundQueue::push(Frame frame, EventSeq seq) {
  bytes_ += frame->size();
  items_.push_back({std::move(frame), seq});
}

OutboundQueue::Flushed OutboundQueue::flush(int fd, std::uint64_t& bytes_written) {
  constexpr std::size_t kFramesPerWrite = 64;
  while (!items_.empty()) {
    std::array<iovec, kFramesPerWrite> parts;
    const std::size_t count = std::min(items_.size() - first_, kFramesPerWrite);
    std::size_t wanted = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const std::string& bytes = *items_[first_ + i].frame;
      const std::size_t begun = i == 0 ? first_begun_ : 0;
      parts[i] = {const_cast<char*>(bytes.data()) + begun, bytes.size() - begun};
      wanted += bytes.size() - begun;
    }
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = count;
    constexpr int kFlags = MSG_NOSIGNAL | MSG_DONTWAIT;
    const ssize_t written = count == 1 ? ::send(fd, parts[0].iov_base, parts[0].iov_len, kFlags)
                                       : sendmsg(fd, &message, kFlags);
    if (written < 0) {
      if (errno == EINTR) continue;
      return errno == EAGAIN || errno == EWOULDBLOCK ? Flushed::blocked : Flushed::failed;
    }
    bytes_written += static_cast<std::uint64_t>(written);
    pop_written(static_cast<std::size_t>(written));
    if (static_cast<std::size_t>(written) < wanted) return Flushed::blocked;
  }
  return Flushed::all;
}

void OutboundQueue::pop_written(std::size_t bytes) {
  bytes_ -= bytes;
  while (bytes > 0) {
    Item& item = items_[first_];
    const std::size_t left = item.frame->size() - first_begun_;
    if (bytes < left) {
      first_begun_ += static_cast<std::uint32_t>(bytes);
      break;
    }
    bytes -= left;
    first_begun_ = 0;
    if (item.seq != 0) last_seq_written_ = item.seq;
    item.frame.reset();
    ++first_;
  }
  if (first_ == items_.size()) {
    std::vector<Item>().swap(items_);  // An idle connection keeps nothing.
    first_ = 0;
  } else if (first_ >= 1024) {
    items_.erase(items_.begin(), items_.begin() + first_);
    first_ = 0;
  }
}

void OutboundQueue::drop_unsent() {
  if (items_.empty()) return;
  Item begun = std::move(items_[first_]);
  std::vector<Item>().swap(items_);
  first_ = 0;
  bytes_ = 0;
  if (first_begun_ > 0) {
    bytes_ = begun.frame->size() - first_begun_;
    items_.push_back(std::move(begun));
  }
}

}  // namespace parlance::net
