// The answer to one message of the agent platform as server-sent events, while it is being made:
// `message` (the user's, once it is durable), then `step`, `delta` and `reset`, at the end
// `message` (the assistant's) and `done`, or `error`. Lives on the core that accepted the
// connection and is owned by it. The run does not end with it.
//
// What a slow reader has no room for is left out: deltas until the next step, and steps until the
// end, when they are told from the log.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dialects/problem.h"
#include "net/message_actions.h"
#include "net/run_relay.h"
#include "net/stream_socket.h"

namespace parlance::net {

/// A request that was found good.
struct MessageStreamOpening {
  UniqueFd fd;
  ConnectionPermit permit;
  std::string request_id;
  std::vector<std::pair<std::string_view, std::string>> headers;  ///< Of any answer to it.
  PreparedMessage message;
};

/// Submits the message, and answers. Thread: the core.
void open_message_stream(Core& core, MessageStreamOpening opening);

class MessageStream final : public StreamSocket {
 public:
  MessageStream(Core& core, MessageStreamOpening& opening);
  ~MessageStream() override;

  void end(std::chrono::seconds retry_after) override;
  SocketKind kind() const noexcept override { return SocketKind::message_stream; }
  void on_relayed(std::uint64_t relay, const Relayed& relayed) override;

  // ---- Called by the coroutine that answers ----

  /// The message could not be submitted: an ordinary answer.
  void refuse(const dialects::Problem& problem);
  /// The message is durable; `relay` will tell of its run.
  void begin(const SubmittedMessage& message, std::uint64_t relay);
  /// Sends the steps among `events` that were not sent yet.
  void send_missing_steps(const SubmittedMessage& message, std::span<const RecordedEvent> events);
  /// Calls `ready` when not much waits to be sent, or when the socket has gone.
  void when_room(std::function<void(bool)> ready);
  void finish(const SubmittedMessage& message, const Answer& answer);
  void give_up();

 private:
  void on_readable() override;
  void on_due() override;
  void on_room() override;
  void on_overflow() override;
  void on_failed(const Error& error) override;

  void send_event(std::string_view name, std::string_view data);
  void send_delta(std::string_view json, std::string_view member);
  bool has_room() const;

  std::string request_id_;
  std::vector<std::pair<std::string_view, std::string>> headers_;
  std::function<void(bool)> on_room_;
  std::uint64_t relay_ = 0;   ///< 0 until the message is durable.
  EventSeq last_step_ = 0;    ///< That was sent.
  bool text_shown_ = false;   ///< Deltas that no step has replaced yet.
  bool text_broken_ = false;  ///< A delta was left out.
  bool behind_ = false;       ///< A step was left out; the log has the rest.
};

}  // namespace parlance::net
