#include "net/run_relay.h"

#include <utility>

#include <boost/asio/post.hpp>

#include "net/stream_socket.h"

namespace parlance::net {

RunRelay::RunRelay(Core& core, SocketRef socket, std::uint64_t name, MessageId message,
                   std::size_t bytes_max)
    : Subscriber(Wire::plain),
      core_(core.shared_from_this()),
      socket_(socket),
      name_(name),
      message_(std::move(message)),
      bytes_max_(bytes_max),
      on_the_way_(std::make_shared<std::atomic<std::size_t>>(0)) {}

bool RunRelay::wants(Telling telling, const MessageId& message) {
  if (over_ || telling == Telling::other || message != message_) return false;
  if (telling == Telling::step || telling == Telling::reset) text_broken_ = false;
  if (text_broken_) return false;
  telling_ = telling;
  return true;
}

bool RunRelay::lacks_room(Telling telling, std::size_t bytes) {
  const std::size_t before = on_the_way_->load(std::memory_order_relaxed);
  // One frame may be longer than the limit.
  if (before == 0 || before + bytes <= bytes_max_) return false;
  if (telling == Telling::step) {
    over_ = true;
  } else {
    text_broken_ = true;
  }
  return true;
}

void RunRelay::send(const Frame& frame, EventSeq seq, Pace /*pace*/) {
  const Telling telling = std::exchange(telling_, Telling::other);
  if (telling == Telling::other) return;  // Not about the run: a gap in the log.
  const std::size_t bytes = frame->size();
  if (lacks_room(telling, bytes)) return;
  on_the_way_->fetch_add(bytes, std::memory_order_relaxed);
  boost::asio::post(core_->io(),
                    [core = core_, socket = socket_, name = name_, bytes, on_the_way = on_the_way_,
                     relayed = Relayed{telling, seq, frame}] {
                      on_the_way->fetch_sub(bytes, std::memory_order_relaxed);
                      StreamSocket* const waiting = socket.get();
                      if (waiting != nullptr) waiting->on_relayed(name, relayed);
                    });
}

/// The log cannot be read: the answer will say so.
void RunRelay::fail(const Error& /*error*/) {
  over_ = true;
}

}  // namespace parlance::net
