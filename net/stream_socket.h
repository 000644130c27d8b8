// A long-lived socket that watches a session: what WebSockets and event streams have in common.
// Owns the descriptor and the queue of frames; writes once per turn of the loop. Owned by its Core.
// An idle one holds this object and nothing else: no buffer, no timer, no pending operation.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/unique_fd.h"
#include "net/connection_limits.h"
#include "net/core.h"
#include "net/fanout.h"
#include "net/outbound_queue.h"
#include "net/readiness.h"

namespace parlance::net {

struct Relayed;

/// For those who count connections.
enum class SocketKind : std::uint8_t {
  chat_socket,
  chat_stream,
  message_stream,
  client_socket,
  console
};

class StreamSocket : public Subscriber, public ReadinessListener {
 public:
  StreamSocket(Core& core, UniqueFd fd, ConnectionPermit permit, Wire wire);
  ~StreamSocket() override;

  // Subscriber.
  void send(const Frame& frame, EventSeq seq, Pace pace) final;
  std::size_t queued_bytes() const final { return queue_.bytes(); }
  void fail(const Error& error) final;
  // ReadinessListener.
  void on_ready(Ready ready) final;

  /// Ends the connection in order: the node stops.
  virtual void end(std::chrono::seconds retry_after) = 0;

  virtual SocketKind kind() const noexcept = 0;

  /// A relay of this name passes something on. Names of relays that it has not are ignored.
  virtual void on_relayed(std::uint64_t /*relay*/, const Relayed& /*relayed*/) {}

 protected:
  /// The socket may be read. Must read until a read comes short, or call read_again().
  virtual void on_readable() = 0;
  /// A tick that schedule() asked for.
  virtual void on_due() = 0;
  /// The write queue is over its limit. Must close.
  virtual void on_overflow() = 0;
  /// The log cannot be read. Must close.
  virtual void on_failed(const Error& error) = 0;
  /// Called when a flush has made room; `resume_reading` and the like.
  virtual void on_room() {}

  /// Queues what is no event: never counted against the limit.
  void push(Frame frame);
  /// Stops watching, sends what is queued, then only waits for the peer to close, for a time.
  void begin_close();
  bool closing() const noexcept { return closing_; }
  /// Reads and throws away, for one who is closing.
  void discard_input();
  /// Nobody reads at the other end since write_timeout, while something waits.
  bool write_stalled() const;
  /// While closing: retires when the time is over. Returns true when closing.
  bool close_is_due();
  Tick close_time() const;

  void pause_reading(bool pause);
  /// There may be more than was read now: others first, then on_readable() again.
  void read_again();
  bool reading_paused() const noexcept { return paused_; }
  void drop_unsent() { queue_.drop_unsent(); }
  EventSeq last_seq_written() const noexcept { return queue_.last_seq_written(); }

  Core& core() noexcept { return core_; }
  const Core& core() const noexcept { return core_; }
  int fd() const noexcept { return fd_.get(); }
  std::uint32_t slot() const noexcept { return slot_; }
  /// When something was last written.
  Tick last_progress() const noexcept { return progress_; }

 private:
  friend class Core;
  void flush();
  void update_interest();

  Core& core_;
  OutboundQueue queue_;
  std::unique_ptr<Error> failed_;
  ConnectionPermit permit_;
  UniqueFd fd_;
  std::uint32_t slot_ = 0;
  Tick due_ = 0;            ///< Of the earliest entry in the wheel; 0 for none.
  Tick progress_ = 0;       ///< When something was last written, or the close began.
  bool dirty_ : 1 = false;  ///< In the core's list.
  bool retired_ : 1 = false;
  bool blocked_ : 1 = false;  ///< The kernel's buffer is full.
  bool paused_ : 1 = false;
  bool closing_ : 1 = false;
  bool shut_ : 1 = false;  ///< Our direction is over.
  bool overflowed_ : 1 = false;
  bool interest_read_ : 1 = true;
  bool interest_write_ : 1 = false;
};

}  // namespace parlance::net
