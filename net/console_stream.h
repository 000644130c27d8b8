// One client of GET /console/api/events: the console's state as server-sent events, about once a
// second. Lives on the core that accepted the connection and is owned by it. A state that finds the
// one before still waiting is left out, so a slow reader only sees fewer of them.
#pragma once

#include <string>
#include <string_view>

#include "net/places.h"
#include "net/stream_socket.h"

namespace parlance::net {

/// A request that was found good.
struct ConsoleOpening {
  UniqueFd fd;
  ConnectionPermit permit;
  Places::Place place;  ///< In the feed.
  std::string head;     ///< Status line and headers of the answer, sent first.
};

/// Thread: the core.
void open_console(Core& core, ConsoleOpening opening);

/// `json` as an event.
Frame state_frame(std::string_view json);

class ConsoleStream final : public StreamSocket {
 public:
  ConsoleStream(Core& core, ConsoleOpening& opening);
  ~ConsoleStream() override;

  void begin(ConsoleOpening& opening);
  void tell(const Frame& state);
  void end(std::chrono::seconds retry_after) override;
  SocketKind kind() const noexcept override { return SocketKind::console; }

 private:
  void on_readable() override;
  void on_due() override;
  void on_overflow() override;
  void on_failed(const Error& error) override;

  const Places::Place place_;
};

}  // namespace parlance::net
