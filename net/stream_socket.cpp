#include "net/stream_socket.h"

#include <algorithm>
#include <cerrno>

#include <sys/socket.h>

#include "base/metrics.h"

namespace parlance::net {

StreamSocket::StreamSocket(Core& core, UniqueFd fd, ConnectionPermit permit, Wire wire)
    : Subscriber(wire), core_(core), permit_(std::move(permit)), fd_(std::move(fd)) {
  progress_ = core_.now();
}

StreamSocket::~StreamSocket() = default;

void StreamSocket::send(const Frame& frame, EventSeq seq, Pace pace) {
  if (closing_ || overflowed_ || retired_) return;
  const std::size_t bytes_max = core_.options().write_queue_bytes_max;
  // One frame may be longer than the limit: it can only be sent in parts, and is no one's fault.
  const auto over = [&] {
    return !queue_.empty() && queue_.bytes_behind_first() + frame->size() > bytes_max;
  };
  if (pace == Pace::live && over()) {
    // A burst within one turn is not a slow reader.
    if (!blocked_) queue_.flush(fd_.get(), core_.counts.bytes_sent);
    if (over()) {
      overflowed_ = true;
      core_.flush_later(*this);
      return;
    }
  }
  ++core_.counts.frames_sent;
  if (queue_.empty()) progress_ = core_.now();
  queue_.push(frame, seq);
  core_.flush_later(*this);
}

void StreamSocket::push(Frame frame) {
  if (retired_) return;
  if (queue_.empty()) progress_ = core_.now();
  queue_.push(std::move(frame));
  core_.flush_later(*this);
}

void StreamSocket::fail(const Error& error) {
  if (closing_ || retired_ || failed_) return;
  failed_ = std::make_unique<Error>(error);
  core_.flush_later(*this);
}

void StreamSocket::on_ready(Ready ready) {
  if (ready.failed && paused_) return core_.retire(*this);
  core_.guard(*this, [&] {
    if (ready.write) flush();
    if (!retired_ && (ready.read || ready.failed)) on_readable();
    // A short read does not show the end of file behind it, and there will be no further edge.
    if (ready.ended && !paused_) read_again();
  });
}

void StreamSocket::flush() {
  if (retired_) return;
  if (overflowed_ && !closing_) {
    metrics::get().slow_readers_dropped.add();
    on_overflow();
  }
  if (failed_ && !closing_) {
    const std::unique_ptr<Error> error = std::move(failed_);
    on_failed(*error);
  }
  const std::size_t before = queue_.bytes();
  const OutboundQueue::Flushed flushed = queue_.flush(fd_.get(), core_.counts.bytes_sent);
  if (flushed == OutboundQueue::Flushed::failed) return core_.retire(*this);
  if (queue_.bytes() < before) progress_ = core_.now();
  blocked_ = flushed == OutboundQueue::Flushed::blocked;
  if (closing_ && queue_.empty() && !shut_) {
    shut_ = true;
    shutdown(fd_.get(), SHUT_WR);
  }
  update_interest();
  if (closing_) return;
  if (attached() && queue_.bytes() <= core_.options().catch_up_low_water_bytes) {
    core_.fanout().on_drained(*this);
  }
  on_room();
}

void StreamSocket::update_interest() {
  const bool wants_read = !paused_;
  const bool wants_write = blocked_;
  if (wants_read == interest_read_ && wants_write == interest_write_) return;
  interest_read_ = wants_read;
  interest_write_ = wants_write;
  core_.readiness().change(fd_.get(), *this, wants_read, wants_write);
}

void StreamSocket::pause_reading(bool pause) {
  paused_ = pause;
  if (!retired_) update_interest();
}

void StreamSocket::read_again() {
  if (!retired_) core_.readiness().change(fd_.get(), *this, interest_read_, interest_write_);
}

void StreamSocket::begin_close() {
  if (closing_) return;
  closing_ = true;
  paused_ = false;
  progress_ = core_.now();
  core_.fanout().detach(*this);
  core_.schedule(*this, core_.now() + close_time());
  core_.flush_later(*this);
}

void StreamSocket::discard_input() {
  const std::span<char> buffer = core_.read_buffer();
  const ssize_t got = recv(fd_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (got < 0 && errno == EAGAIN) return;
  if (got == 0 || (got < 0 && errno != EINTR)) return core_.retire(*this);
  if (got < 0 || static_cast<std::size_t>(got) == buffer.size()) read_again();
}

/// A node that stops waits less for those who do not answer.
Tick StreamSocket::close_time() const {
  const Options& options = core_.options();
  return core_.ticks_past(core_.draining() ? std::min(options.close_timeout, options.linger_timeout)
                                           : options.close_timeout);
}

bool StreamSocket::close_is_due() {
  if (!closing_) return false;
  // Who still reads what was meant for it is waited for as ever; who was too slow is not.
  const bool reads = !queue_.empty() && !overflowed_ && !core_.draining();
  const Tick patience = reads ? core_.ticks_past(core_.options().write_timeout) : close_time();
  const Tick deadline = progress_ + patience;
  if (core_.now() >= deadline) {
    core_.retire(*this);
  } else {
    core_.schedule(*this, std::min(deadline, core_.now() + close_time()));
  }
  return true;
}

bool StreamSocket::write_stalled() const {
  return !queue_.empty() &&
         core_.now() - progress_ >= core_.ticks_past(core_.options().write_timeout);
}

}  // namespace parlance::net
