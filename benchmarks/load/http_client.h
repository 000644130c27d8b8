#pragma once
// One keep-alive HTTP connection that sends requests one at a time and tells each answer as a
// whole.
//
// Thread: the loop's. The observer outlives the client.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "benchmarks/support/event_loop.h"
#include "benchmarks/support/fd.h"
#include "benchmarks/support/socket.h"

namespace parlance::benchmarks {

/// The answer at the front of a buffer: its status, and views into the buffer.
struct HttpAnswer {
  enum class State { complete, incomplete, broken };

  State state = State::incomplete;
  int status = 0;
  std::string_view body;
  size_t bytes = 0;  // of the whole answer, once it is complete
};

/// Pure. Broken are: another protocol, no Content-Length, a head over 64 KiB or a body over 64 MiB.
HttpAnswer parse_http_answer(std::string_view buffer);

class HttpClient;

class HttpObserver {
 public:
  virtual ~HttpObserver() = default;
  /// `body` is valid during the call. The client is free again; it may be sent with from here.
  virtual void on_answer(HttpClient& client, int status, std::string_view body,
                         int64_t received_ns) = 0;
  /// The connection is gone, and a request that waited for its answer with it.
  virtual void on_closed(HttpClient& client, std::string_view why) = 0;
};

class HttpClient : public EventSource {
 public:
  /// Starts to connect. Throws std::system_error.
  HttpClient(EventLoop& loop, HttpObserver& observer, const Address& address, size_t index);
  ~HttpClient() override;

  /// Sends a whole request, or keeps it until the connection is there. The client must be free; one
  /// that is closed ignores it.
  void send(std::string request);

  void on_ready(uint32_t events) override;

  size_t index() const { return index_; }
  bool is_closed() const { return !socket_; }

 private:
  void flush();
  void read_input();
  void close(std::string_view why);

  EventLoop& loop_;
  HttpObserver& observer_;
  Fd socket_;
  size_t index_;
  bool connected_ = false;
  bool watching_writable_ = true;
  std::string out_;
  size_t out_sent_ = 0;
  std::string in_;
};

}  // namespace parlance::benchmarks
