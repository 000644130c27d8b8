#pragma once
// One WebSocket connection of the load generator: connect, handshake, frames. Cheap when idle (a
// few hundred bytes) and cheap when busy: all connections read into the same memory, whole frames
// are handed on from there, and a frame is written at once; only what the kernel does not take is
// kept.
//
// Thread: the loop's. The observer outlives the client. After on_closed() the client stays, dead,
// until destroyed.

#include <cstdint>
#include <string>
#include <string_view>

#include "benchmarks/load/websocket_frames.h"
#include "benchmarks/support/event_loop.h"
#include "benchmarks/support/fd.h"
#include "benchmarks/support/socket.h"

namespace parlance::benchmarks {

class WebsocketClient;

class WebsocketObserver {
 public:
  virtual ~WebsocketObserver() = default;
  virtual void on_open(WebsocketClient& client) = 0;
  /// `payload` is valid during the call; `received_ns` is when its bytes were read.
  virtual void on_message(WebsocketClient& client, std::string_view payload,
                          int64_t received_ns) = 0;
  /// Called once, also for a connection that never opened. `why` is for people.
  virtual void on_closed(WebsocketClient& client, std::string_view why) = 0;
};

struct WebsocketTarget {
  Address address;
  std::string path;
  std::string api_key;        // empty: no Authorization header
  in_addr_t source_host = 0;  // see start_connect()
};

class WebsocketClient : public EventSource {
 public:
  /// Starts to connect. `index` is the owner's number for it. Throws std::system_error.
  WebsocketClient(EventLoop& loop, WebsocketObserver& observer, const WebsocketTarget& target,
                  size_t index);
  ~WebsocketClient() override;

  void on_ready(uint32_t events) override;

  size_t index() const { return index_; }
  bool is_open() const { return state_ == State::open; }

  /// Sends one text message. Does nothing on a connection that is not open.
  void send_text(std::string_view payload);
  /// Sends bytes that are frames already.
  void send_frames(std::string_view frames);

 private:
  enum class State { connecting, handshaking, open, closed };

  void begin_handshake();
  void read_input();
  std::string_view take_input(std::string_view input, int64_t received_ns);
  std::string_view take_handshake(std::string_view input);
  bool take_frame(const ServerFrame& frame, int64_t received_ns);
  void flush();
  void watch_writable(bool wanted);
  void close(std::string_view why);

  EventLoop& loop_;
  WebsocketObserver& observer_;
  Fd socket_;
  size_t index_;
  State state_ = State::connecting;
  bool watching_writable_ = true;
  std::string in_;         // the beginning of a frame that is not yet complete
  std::string out_;        // what the kernel did not take; the handshake request before it is sent
  std::string fragments_;  // of a message in several frames
};

}  // namespace parlance::benchmarks
