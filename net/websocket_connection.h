// One client on a WebSocket, watching one session and speaking the step stream.
// Lives on the session's home core; owned by it. Callback-based and lean: while it is idle it holds
// this object and no buffer. Commands are answered in the order in which the session answers them.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "net/websocket_peer.h"

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

class WebSocketConnection final : public WebSocketPeer {
 public:
  WebSocketConnection(Core& core, WebSocketOpening& opening);
  ~WebSocketConnection() override;

  void begin(WebSocketOpening& opening);
  void on_told(Told told) override;
  SocketKind kind() const noexcept override { return SocketKind::chat_socket; }

 private:
  void on_overflow() override;
  void on_failed(const Error& error) override;
  bool on_client_message(Opcode opcode, std::string_view payload) override;
  bool may_go_on() const override;

  void submit(SubmitMessage command);
  void cancel(CancelMessage command);
  void ping(std::optional<std::string> data);
  static void on_pong_reply(const SubscriberRef& ref, const Status& status,
                            const std::optional<std::string>& data);
  void answered();
  void send_error(std::string_view error, const std::optional<MessageId>& message_id);
  template <class Append>
  void send_json(Append append);

  std::uint32_t in_flight_ = 0;   ///< Commands without an answer.
  bool history_pending_ = false;  ///< The next command waits for it.
};

}  // namespace parlance::net
