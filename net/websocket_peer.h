// A WebSocket as a socket: reads messages within limits of size, number and time, answers and sends
// pings, closes in order. What the messages mean is for who derives from it.
// Lives on one core, owned by it. Callback-based and lean: while it is idle it holds no buffer.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "net/stream_socket.h"
#include "net/websocket_frame.h"

namespace parlance::net {

class WebSocketPeer : public StreamSocket, protected FrameHandler {
 public:
  ~WebSocketPeer() override;

  void end(std::chrono::seconds retry_after) override;

 protected:
  /// `deflate`: compressed messages were agreed on.
  WebSocketPeer(Core& core, UniqueFd fd, ConnectionPermit permit, bool deflate);

  /// A whole message. False stops reading until go_on().
  virtual bool on_client_message(Opcode opcode, std::string_view payload) = 0;
  /// The same, for one that came in parts, which may be kept.
  virtual bool on_long_client_message(Opcode opcode, std::string&& payload) {
    return on_client_message(opcode, payload);
  }
  /// Whether another message may be taken now.
  virtual bool may_go_on() const = 0;
  virtual std::size_t message_bytes_max() const { return core().options().frame_bytes_max; }
  /// What incomplete and unread messages of this socket count against, and its limit.
  virtual std::size_t& partial_total() { return core().partial_bytes; }
  virtual std::size_t partial_total_max() const { return core().options().partial_bytes_max; }

  void on_readable() override;
  void on_due() override;
  void on_room() override;

  bool on_message(Opcode opcode, std::string_view payload) final;
  bool on_long_message(Opcode opcode, std::string&& payload) final;
  bool on_ping(std::string_view payload) final;
  bool on_pong(std::string_view payload) final;
  bool on_close(CloseCode code, std::string_view reason) final;

  /// After the handshake: reads what came behind it, and pings from then on.
  void begin_reading(std::string read_ahead);
  /// Reads on after a pause, where that may be.
  void go_on();
  void close(CloseCode code, std::string_view reason);
  /// Bytes that count in partial_total(). Whoever changes what that is moves them, and whoever
  /// derives from this takes them off in its destructor.
  std::size_t buffered() const noexcept;

 private:
  void consume(std::span<char> bytes);
  void keep_unread(std::span<const char> bytes);
  void watch_partial(std::size_t buffered_before);
  bool begins(std::string_view payload);
  bool control_flood();
  Tick ping_interval() const;
  void schedule_ping();

  FrameReader reader_;
  std::unique_ptr<std::string> unread_;  ///< Read from the socket while messages must wait.
  Tick last_heard_ = 0;
  Tick partial_since_ = 0;
  Tick control_tick_ = 0;
  std::uint32_t control_frames_ = 0;  ///< In control_tick_.
  std::uint8_t pings_unanswered_ = 0;
  bool deflate_ : 1 = false;
  bool message_ended_ : 1 = false;  ///< Since partial_since_ was set.
};

}  // namespace parlance::net
