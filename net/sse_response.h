// One client of GET /chat/{chat_id}/events: server-sent events of one session, from its home core.
// Owned by it. The body has no length; it ends with the connection.
#pragma once

#include <string>

#include "net/stream_socket.h"

namespace parlance::net {

/// A request that was found good, on its way to the session's home core.
struct SseOpening {
  UniqueFd fd;
  ConnectionPermit permit;
  SessionId session;
  AttachOptions attach;
  std::string head;  ///< Status line and headers of the answer, sent first.
};

/// Thread: the home core of the session.
void open_events(Core& core, SseOpening opening);

class SseResponse final : public StreamSocket {
 public:
  SseResponse(Core& core, SseOpening& opening);

  void begin(SseOpening& opening);
  void end(std::chrono::seconds retry_after) override;
  SocketKind kind() const noexcept override { return SocketKind::chat_stream; }

 private:
  void on_readable() override;
  void on_due() override;
  void on_overflow() override;
  void on_failed(const Error& error) override;
};

}  // namespace parlance::net
