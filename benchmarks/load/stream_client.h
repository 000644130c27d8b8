#pragma once
// One keep-alive HTTP connection that sends streaming chat completion requests, one at a time, and
// tells the deltas of the answers. Reads only what a measurement needs of SSE and JSON: a "data:"
// line with a filled "content".
//
// Thread: the loop's. The observer outlives the client.

#include <cstdint>
#include <string>
#include <string_view>

#include "benchmarks/support/event_loop.h"
#include "benchmarks/support/fd.h"
#include "benchmarks/support/http.h"
#include "benchmarks/support/socket.h"

namespace parlance::benchmarks {

class StreamClient;

class StreamObserver {
 public:
  virtual ~StreamObserver() = default;
  /// `text` is the delta's content, still escaped, valid during the call.
  virtual void on_delta(StreamClient& client, std::string_view text, int64_t received_ns) = 0;
  /// The answer has ended; `error` is empty when it did so with "[DONE]". The client is free again,
  /// unless is_closed().
  virtual void on_end(StreamClient& client, std::string_view error, int64_t received_ns) = 0;
};

class StreamClient : public EventSource {
 public:
  /// Starts to connect. Throws std::system_error.
  StreamClient(EventLoop& loop, StreamObserver& observer, const Address& address, size_t index);
  ~StreamClient() override;

  /// Sends a whole request, or keeps it until the connection is there. The client must be free.
  void send(std::string_view request);

  void on_ready(uint32_t events) override;

  size_t index() const { return index_; }
  bool is_closed() const { return !socket_; }

 private:
  void flush();
  void read_input();
  void take_input(std::string_view input, int64_t received_ns);
  size_t take_head(std::string_view input);
  void take_body(std::string_view piece, int64_t received_ns);
  void take_line(std::string_view line, int64_t received_ns);
  void end(std::string_view error, int64_t received_ns);
  void close(std::string_view why);

  EventLoop& loop_;
  StreamObserver& observer_;
  Fd socket_;
  size_t index_;
  bool connected_ = false;
  bool busy_ = false;
  std::string out_;
  std::string head_;
  bool in_body_ = false;
  ChunkedDecoder decoder_;
  std::string line_;  // the beginning of a line that is not yet complete
  bool done_seen_ = false;
  std::string error_;
};

/// The request for a streamed answer to `message`.
std::string stream_request(const Url& url, std::string_view model, std::string_view message,
                           std::string_view api_key);

}  // namespace parlance::benchmarks
