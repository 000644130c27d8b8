// One client of the KISS stack on /ws. Speaks for whom its access token names, or for nobody yet.
// Lives on the core that accepted it and is owned by it. One request after the other: while one is
// being answered the next waits, and what comes behind that is not read. Answers are made by
// coroutines that know the socket by its name, since it may be gone before they are.
// While it is idle it holds this object and no buffer.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dialects/kiss.h"
#include "net/kiss_actions.h"
#include "net/run_relay.h"
#include "net/websocket_peer.h"

namespace parlance::net {

/// A handshake that was found good.
struct KissOpening {
  UniqueFd fd;
  ConnectionPermit permit;
  std::optional<Bearer> bearer;
  std::string answer;      ///< The 101 answer, sent first.
  std::string read_ahead;  ///< What the client sent after its handshake.
};

/// Thread: the core.
void open_kiss(Core& core, KissOpening opening);

class KissConnection final : public WebSocketPeer {
 public:
  KissConnection(Core& core, KissOpening& opening);
  ~KissConnection() override;

  void begin(KissOpening& opening);
  SocketKind kind() const noexcept override { return SocketKind::client_socket; }

  // ---- Called by the coroutine that answers, and by relays ----

  const Bearer* bearer() const noexcept { return bearer_.get(); }
  void set_bearer(Bearer bearer);
  /// Sends `json`, and takes the next request.
  void finish(std::string_view json);
  /// The same for a refusal; one that says 401 ends the connection.
  void refuse(std::optional<std::string_view> event, const dialects::Problem& problem);
  /// Steps of this query are sent from now on as on_relayed() brings them.
  void begin_stream(std::uint64_t relay, dialects::kiss::EventName name);
  void on_relayed(std::uint64_t relay, const Relayed& relayed) override;
  /// Sends the steps of `message` among `events` that were not sent yet.
  void send_missing_steps(const MessageId& message, std::span<const RecordedEvent> events);
  /// Calls `ready` when not much waits to be sent, or when the socket has gone.
  void when_room(std::function<void(bool)> ready);
  void give_up();

 private:
  struct Stream;   // Of the query that is being answered.
  struct Request;  // That waits for the one before.

  void on_due() override;
  void on_room() override;
  void on_overflow() override;
  void on_failed(const Error& error) override;
  bool on_client_message(Opcode opcode, std::string_view payload) override;
  bool on_long_client_message(Opcode opcode, std::string&& payload) override;
  bool may_go_on() const override;
  std::size_t message_bytes_max() const override;
  std::size_t& partial_total() override;
  std::size_t partial_total_max() const override;

  bool take(Opcode opcode, std::string text);
  void answer(Opcode opcode, std::string text);
  void send_text(std::string_view json);
  bool has_room() const;

  std::unique_ptr<Bearer> bearer_;
  std::unique_ptr<Stream> stream_;
  std::vector<std::unique_ptr<Request>> waiting_;
  std::function<void(bool)> on_room_;
  Tick auth_deadline_ = 0;
  bool answering_ = false;
};

}  // namespace parlance::net
