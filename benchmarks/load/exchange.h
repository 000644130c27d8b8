#pragma once
// Sends messages to the sessions of a fleet and waits for each one's end, a bounded number at a
// time. For modes that need sessions with a history, not for measuring.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "benchmarks/load/websocket_fleet.h"
#include "benchmarks/support/event_loop.h"

namespace parlance::benchmarks {

class Exchange {
 public:
  Exchange(EventLoop& loop, WebsocketFleet& fleet, size_t message_bytes, size_t under_way_max);

  /// Has `count` messages answered in each of the sessions `from` to `to` (exclusive).
  /// Throws std::runtime_error with the server's words when one fails, or after `timeout_ns`.
  void run(size_t from, size_t to, size_t count, int64_t timeout_ns);

  /// To be called with every frame that arrives.
  void take(WebsocketClient& client, std::string_view payload);
  void take_loss(std::string_view why);

 private:
  void send(size_t session);

  EventLoop& loop_;
  WebsocketFleet& fleet_;
  size_t under_way_max_;
  std::string text_;
  std::string nonce_;
  std::vector<size_t> left_;  // messages still to be answered, per session
  size_t under_way_ = 0;
  std::string failure_;
};

}  // namespace parlance::benchmarks
