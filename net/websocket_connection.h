// One client on a WebSocket, watching one session and speaking the step stream.
// Lives on the session's home core; owned by it. Callback-based and lean: while it is idle it holds
// this object and no buffer. Commands are answered in the order in which the session answers them.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "net/stream_socket.h"
#include "net/websocket_frame.h"

namespace parlance::net {

/// A handshake that was found good, on its way to the session's home core.
struct WebSocketOpening {
  UniqueFd fd;
  ConnectionPermit permit;
  SessionId session;
  AttachOptions attach;
  bool deflate = false;
  std::string answer;      ///< The 101 answer, sent first.
  std::string read_ahead;  ///< What the client sent after its handshake.
};

/// Thread: the home core of the session.
void open_websocket(Core& core, WebSocketOpening opening);

class WebSocketConnection final : public StreamSocket, private FrameHandler {
 public:
  WebSocketConnection(Core& core, WebSocketOpening& opening);
  ~WebSocketConnection() override;

  void begin(WebSocketOpening& opening);
  void end(std::chrono::seconds retry_after) override;
  void on_told(Told told) override;

 private:
  void on_readable() override;
  void on_due() override;
  void on_overflow() override;
  void on_failed(const Error& error) override;
  void on_room() override;

  bool on_message(Opcode opcode, std::string_view payload) override;
  bool on_ping(std::string_view payload) override;
  bool on_pong(std::string_view payload) override;
  bool on_close(CloseCode code, std::string_view reason) override;

  void consume(std::span<char> bytes);
  void keep_unread(std::span<const char> bytes);
  void watch_partial(std::size_t buffered_before);
  std::size_t buffered() const noexcept;
  bool control_flood();
  bool may_go_on() const;
  void go_on();
  Tick ping_interval() const;
  void schedule_ping();
  void close(CloseCode code, std::string_view reason);

  void submit(SubmitMessage command);
  void cancel(CancelMessage command);
  void ping(std::optional<std::string> data);
  static void on_pong_reply(const SubscriberRef& ref, const Status& status,
                            const std::optional<std::string>& data);
  void answered();
  void send_error(std::string_view error, const std::optional<MessageId>& message_id);
  template <class Append>
  void send_json(Append append);

  FrameReader reader_;
  std::unique_ptr<std::string> unread_;  ///< Read from the socket while commands must wait.
  Tick last_heard_ = 0;
  Tick partial_since_ = 0;
  Tick control_tick_ = 0;
  std::uint32_t control_frames_ = 0;  ///< In control_tick_.
  std::uint32_t in_flight_ = 0;       ///< Commands without an answer.
  std::uint8_t pings_unanswered_ = 0;
  bool history_pending_ : 1 = false;  ///< The next command waits for it.
  bool deflate_ : 1 = false;
  bool message_ended_ : 1 = false;  ///< Since partial_since_ was set.
};

}  // namespace parlance::net
