// An HTTP upstream inside the test: answers each request with bytes that the test wrote out, and
// sees what the client does with its connections. Header-only; runs on the test's own io_context,
// so that client and server take turns on one thread and nothing needs a lock.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/asio.hpp>

namespace parlance::http::test {

/// Runs `io` until `condition` holds; false after five seconds.
template <class Condition>
bool run_until(boost::asio::io_context& io, Condition&& condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    if (io.stopped()) io.restart();
    io.run_one_for(std::chrono::milliseconds(20));
  }
  return true;
}

/// Runs what is ready now, and what that makes ready, without waiting.
inline void run_ready(boost::asio::io_context& io) {
  if (io.stopped()) io.restart();
  for (int i = 0; i < 100 && io.poll() > 0; ++i) {
  }
}

struct Reply {
  std::vector<std::string> pieces;  ///< Written one after the other, whole HTTP bytes.
  enum class Then { keep, close, stall } then = Then::keep;
};

class ScriptedUpstream {
 public:
  using Script = std::function<Reply(int request, const std::string& body)>;

  ScriptedUpstream(boost::asio::io_context& io, Script script)
      : io_(io),
        acceptor_(io, {boost::asio::ip::make_address("127.0.0.1"), 0}),
        script_(std::move(script)) {
    accept();
  }

  std::string base_url() const {
    return "http://127.0.0.1:" + std::to_string(acceptor_.local_endpoint().port()) + "/v1";
  }

  int connections = 0;
  int requests = 0;
  int closed_by_client = 0;  ///< Connections whose other end went away.
  std::string last_head;     ///< Request line and headers of the last request.
  std::size_t bytes_received = 0;
  bool keeps_bodies = true;  ///< Otherwise they are dropped as they come, for big ones.

 private:
  struct Connection : std::enable_shared_from_this<Connection> {
    Connection(ScriptedUpstream& upstream, boost::asio::ip::tcp::socket socket)
        : upstream(upstream), socket(std::move(socket)) {}

    void read() {
      socket.async_read_some(
          boost::asio::buffer(buffer),
          [self = shared_from_this()](boost::system::error_code error, std::size_t count) {
            if (error) {
              if (error != boost::asio::error::operation_aborted) ++self->upstream.closed_by_client;
              return;
            }
            self->upstream.bytes_received += count;
            self->received.append(self->buffer.data(), count);
            self->serve();
            self->read();
          });
    }

    void serve() {
      const std::size_t head_end = received.find("\r\n\r\n");
      if (head_end == std::string::npos) return;
      const std::string head = received.substr(0, head_end);
      const std::size_t at = head.find("Content-Length: ");
      const std::size_t length = at == std::string::npos ? 0 : std::stoul(head.substr(at + 16));
      if (!upstream.keeps_bodies) {
        dropped += received.size() - (head_end + 4);
        received.resize(head_end + 4);
      }
      if (received.size() + dropped < head_end + 4 + length) return;
      const std::string body = received.substr(head_end + 4, length);
      received.erase(0, head_end + 4 + length - std::exchange(dropped, 0));
      upstream.last_head = head;
      reply = upstream.script_(upstream.requests++, body);
      next = 0;
      write();
    }

    void write() {
      if (next == reply.pieces.size()) {
        if (reply.then == Reply::Then::close) {
          boost::system::error_code ignored;
          socket.shutdown(boost::asio::ip::tcp::socket::shutdown_send, ignored);
        }
        return;
      }
      boost::asio::async_write(socket, boost::asio::buffer(reply.pieces[next]),
                               [self = shared_from_this()](boost::system::error_code error, auto) {
                                 if (error) return;
                                 ++self->next;
                                 self->let_client_read(3);
                               });
    }

    /// A few turns of the loop, in which the client takes what was written so far.
    void let_client_read(int turns) {
      boost::asio::post(upstream.io_, [self = shared_from_this(), turns] {
        if (turns > 0) {
          self->let_client_read(turns - 1);
        } else {
          self->write();
        }
      });
    }

    ScriptedUpstream& upstream;
    boost::asio::ip::tcp::socket socket;
    std::array<char, 16384> buffer{};
    std::string received;
    std::size_t dropped = 0;  // Of the body of the request that comes.
    Reply reply;
    std::size_t next = 0;
  };

  void accept() {
    acceptor_.async_accept(
        [this](boost::system::error_code error, boost::asio::ip::tcp::socket socket) {
          if (error) return;
          ++connections;
          socket.set_option(boost::asio::ip::tcp::no_delay(true));
          std::make_shared<Connection>(*this, std::move(socket))->read();
          accept();
        });
  }

  boost::asio::io_context& io_;
  boost::asio::ip::tcp::acceptor acceptor_;
  Script script_;
};

/// `body` as a response with Content-Length.
inline std::string http_response(std::string_view status, std::string_view body,
                                 std::string_view headers = {}) {
  return "HTTP/1.1 " + std::string(status) + "\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n" + std::string(headers) + "\r\n" + std::string(body);
}

/// The head of an event stream that ends when the connection does.
inline std::string stream_head() {
  return "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
}

}  // namespace parlance::http::test
