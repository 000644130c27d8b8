// One accepted connection that speaks HTTP/1.1, until it ends or becomes a WebSocket or an event
// stream. A coroutine: one request after the other, so pipelining is safe; everything about the
// wire is limited in size and time. Stays on the core that accepted it; sockets of a chat move on
// to their session's core. Kept alive by its coroutine. Its core knows it, to end it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>

#include "base/unique_fd.h"
#include "net/connection_limits.h"
#include "net/core.h"
#include "net/http_message.h"

namespace parlance::net {

/// Serves the accepted socket `fd` on `core`. Thread: that core.
void serve_http(Core& core, UniqueFd fd, ConnectionPermit permit);

/// Tells the client behind `fd` that there are too many connections, and closes. Thread: that core.
void refuse_http(Core& core, UniqueFd fd);

class HttpConnection final : public std::enable_shared_from_this<HttpConnection> {
 public:
  HttpConnection(Core& core, UniqueFd fd, ConnectionPermit permit);
  ~HttpConnection();

  boost::asio::awaitable<void> run();
  boost::asio::awaitable<void> run_refusal();

  // ---- Called by the core ----

  /// Ends an operation whose time is over.
  void on_sweep();
  /// Ends now when it waits for a request, else after its answer.
  void drain();
  void abort();

 private:
  struct Incoming;  // A request being read; in the .cpp, with Beast.

  /// One request; false when the connection is over.
  boost::asio::awaitable<bool> serve_one();
  /// False when nothing came in time.
  boost::asio::awaitable<bool> await_first_byte();
  /// Nothing to answer here: the reading failed or was refused with `refusal_`.
  boost::asio::awaitable<bool> read_request(Incoming& incoming);
  boost::asio::awaitable<bool> read_body(Incoming& incoming);
  boost::asio::awaitable<bool> read_documents(Incoming& incoming);
  boost::asio::awaitable<bool> open_spool(Incoming& incoming);
  boost::asio::awaitable<bool> read_spooled(Incoming& incoming);
  boost::asio::awaitable<bool> spool(Incoming& incoming);
  bool body_failed(Incoming& incoming, const boost::system::error_code& error);
  std::optional<HttpResponse> check(Incoming& incoming);
  std::optional<HttpResponse> check_route(Incoming& incoming);
  std::optional<HttpResponse> check_credentials(Incoming& incoming);
  std::optional<HttpResponse> check_type(const Incoming& incoming);
  std::optional<HttpResponse> check_body(Incoming& incoming);
  std::optional<HttpResponse> check_handshake(Incoming& incoming);
  std::string handshake_answer(const Incoming& incoming, std::string_view extension) const;
  std::optional<HttpResponse> open_stream(Incoming& incoming);
  std::optional<HttpResponse> open_console_stream(Incoming& incoming);
  std::string events_head(const Incoming& incoming) const;
  boost::asio::awaitable<std::optional<HttpResponse>> open_kiss_socket(Incoming& incoming);
  boost::asio::awaitable<std::optional<HttpResponse>> open_message_stream(Incoming& incoming);
  boost::asio::awaitable<HttpResponse> answer_while_wanted(HttpRequest& request);
  boost::asio::awaitable<bool> write(std::string bytes);
  boost::asio::awaitable<bool> write_stream(BodyStream& stream, bool chunked);
  /// `bytes_max`: of what the client still sends.
  boost::asio::awaitable<void> linger(std::size_t bytes_max);

  void expire_in(std::chrono::milliseconds time) {
    deadline_ = core_->now() + core_->ticks_past(time);
  }
  HttpResponse refuse(int status, std::string detail);
  HttpResponse refuse_and_close(std::string detail);
  void log_answer(const Incoming& incoming, const HttpResponse& response) const;
  void allow_origin(const Incoming& incoming, HttpResponse& response) const;

  const std::shared_ptr<Core> core_;
  ConnectionPermit permit_;
  boost::asio::ip::tcp::socket socket_;
  boost::beast::flat_buffer buffer_;
  std::string request_id_;
  std::function<void()> on_leave_;  ///< Ends the work on an answer that nobody waits for.
  Tick deadline_ = 0;               ///< 0 for none.
  bool idle_ = true;                ///< Waits for a request.
  bool timed_out_ = false;
};

}  // namespace parlance::net
