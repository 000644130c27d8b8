// Watches one session for one run that a socket waits for, on the session's home core, and passes
// the run's steps and deltas on to the socket's core. Owned by the home core, by a name that the
// socket's core drew.
//
// What is on its way is bounded: past it deltas are left out until the next step, and after a step
// that had to be left out nothing follows. The socket tells what is missing from the log.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "net/core.h"
#include "net/fanout.h"

namespace parlance::net {

/// One frame of the step stream, without framing.
struct Relayed {
  Telling telling = Telling::step;
  EventSeq seq = 0;  ///< Of a step.
  Frame json;
};

class RunRelay final : public Subscriber {
 public:
  /// Passes what is told of `message` on to `socket` of `core`, of at most `bytes_max` at once.
  RunRelay(Core& core, SocketRef socket, std::uint64_t name, MessageId message,
           std::size_t bytes_max);

  void send(const Frame& frame, EventSeq seq, Pace pace) override;
  std::size_t queued_bytes() const override { return 0; }
  void fail(const Error& error) override;
  bool wants(Telling telling, const MessageId& message) override;

 private:
  /// Whether too much is on its way already; notes what is left out for that.
  bool lacks_room(Telling telling, std::size_t bytes);

  const std::shared_ptr<Core> core_;
  const SocketRef socket_;
  const std::uint64_t name_;
  const MessageId message_;
  const std::size_t bytes_max_;
  const std::shared_ptr<std::atomic<std::size_t>> on_the_way_;  ///< Bytes.
  Telling telling_ = Telling::other;                            ///< Of the frame to be sent next.
  bool text_broken_ = false;                                    ///< A delta was left out.
  bool over_ = false;                                           ///< A step was left out.
};

}  // namespace parlance::net
