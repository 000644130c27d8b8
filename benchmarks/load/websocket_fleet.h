#pragma once
// Many WebSocket connections to one server, opened a bounded number at a time, each to its own
// chat.
//
// Thread: the loop's. Connections stay until the fleet is destroyed; one that the server closes is
// counted and told.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "benchmarks/load/websocket_client.h"
#include "benchmarks/support/event_loop.h"

namespace parlance::benchmarks {

struct FleetOptions {
  /// ws://HOST:PORT[/PATH]. "{chat_id}" in the path becomes the chat's id; no path means
  /// kChatPath.
  std::string url;
  std::string chat_prefix;
  std::string api_key;
  /// Handshakes under way at one time.
  size_t handshakes_max = 256;
};

class FleetObserver {
 public:
  virtual ~FleetObserver() = default;
  virtual void on_message(WebsocketClient& client, std::string_view payload,
                          int64_t received_ns) = 0;
  /// An open connection has been closed by the server.
  virtual void on_lost(WebsocketClient& client, std::string_view why) = 0;
};

class WebsocketFleet : public WebsocketObserver {
 public:
  static constexpr std::string_view kChatPath = "/chat/{chat_id}?tokens=1&acks=1";

  /// Throws std::invalid_argument for a bad URL.
  WebsocketFleet(EventLoop& loop, FleetObserver& observer, const FleetOptions& options);

  /// Opens connections until there are `count`; runs the loop meanwhile. Throws std::runtime_error
  /// with the reason when one can't be opened or it takes over `timeout_ns`.
  void grow_to(size_t count, int64_t timeout_ns);

  size_t size() const { return clients_.size(); }
  WebsocketClient& operator[](size_t index) { return *clients_[index]; }
  std::string chat_id(size_t index) const;

  /// Connections that the server has closed, and what it said to the last of them.
  size_t lost_count() const { return lost_; }
  const std::string& last_loss() const { return last_loss_; }

 private:
  void on_open(WebsocketClient& client) override;
  void on_message(WebsocketClient& client, std::string_view payload, int64_t received_ns) override;
  void on_closed(WebsocketClient& client, std::string_view why) override;
  void start_one();

  EventLoop& loop_;
  FleetObserver& observer_;
  FleetOptions options_;
  Url url_;
  std::vector<std::unique_ptr<WebsocketClient>> clients_;
  std::vector<bool> opened_;
  size_t open_count_ = 0;
  size_t lost_ = 0;
  std::string last_loss_;
  std::string failure_;
};

}  // namespace parlance::benchmarks
