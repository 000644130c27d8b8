#include "benchmarks/load/exchange.h"

#include <stdexcept>

#include <fmt/format.h>

#include "benchmarks/load/chat_frames.h"
#include "benchmarks/load/common.h"
#include "benchmarks/support/clock.h"

namespace parlance::benchmarks {

Exchange::Exchange(EventLoop& loop, WebsocketFleet& fleet, size_t message_bytes,
                   size_t under_way_max)
    : loop_(loop),
      fleet_(fleet),
      under_way_max_(under_way_max),
      text_(message_text("hello", message_bytes)),
      nonce_(fresh_prefix("x")) {}

void Exchange::run(size_t from, size_t to, size_t count, int64_t timeout_ns) {
  if (count == 0) return;
  left_.resize(to, 0);
  size_t next = from;
  const auto done = [&] {
    while (next < to && under_way_ < under_way_max_) {
      left_[next] = count;
      ++under_way_;
      send(next++);
    }
    return (next == to && under_way_ == 0) || !failure_.empty();
  };
  const bool in_time = loop_.run_until(done, now_ns() + timeout_ns);
  if (!failure_.empty()) throw std::runtime_error("a message failed: " + failure_);
  if (!in_time) {
    throw std::runtime_error(fmt::format("{} messages were not answered in time", under_way_));
  }
}

void Exchange::send(size_t session) {
  fleet_[session].send_text(client_frame(fmt::format("{}-{}", nonce_, left_[session]), text_));
}

void Exchange::take(WebsocketClient& client, std::string_view payload) {
  const size_t session = client.index();
  if (session >= left_.size() || left_[session] == 0) return;
  const ChatFrame frame = parse_chat_frame(payload);
  if (frame.kind == ChatFrame::Kind::error) failure_ = frame.text;
  if (frame.kind != ChatFrame::Kind::end) return;
  --left_[session];
  if (left_[session] > 0) {
    send(session);
  } else {
    --under_way_;
  }
}

void Exchange::take_loss(std::string_view why) {
  failure_ = why;
}

}  // namespace parlance::benchmarks
