// parlance-echo: the bare Beast baseline. A WebSocket echo server with nothing around it: one
// thread, one io_context, no timers, no limits but the frame size. What the server costs beyond
// this is what it adds.
//
// Two ways to wait for a frame:
//   pending-read    an async_read is always pending, with its own buffer: Beast's usual form
//   wait-readable   the socket's readability is awaited; only then is a buffer taken from a pool
//   and read into, so
//                   that an idle connection holds none. Beast may have read ahead into the stream
//                   when a client sends several frames at once, and then the socket is not readable
//                   again: this mode is for clients with one frame outstanding, which is what
//                   parlance-load sends.

#include <csignal>
#include <cstdio>
#include <exception>
#include <map>
#include <memory>
#include <vector>

#include <CLI/CLI.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/websocket.hpp>
#include <fmt/format.h>

#include "benchmarks/support/socket.h"

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace bench = parlance::benchmarks;
namespace websocket = beast::websocket;
using boost::system::error_code;

// The concrete executor spares the type erasure that the default any_io_executor costs per
// operation.
using Socket = asio::basic_stream_socket<asio::ip::tcp, asio::io_context::executor_type>;
using Acceptor = asio::basic_socket_acceptor<asio::ip::tcp, asio::io_context::executor_type>;

constexpr size_t kMessageBytesMax = 1 << 20;

enum class Mode { pending_read, wait_readable };

/// The buffers of connections that are just reading or writing. One thread, so no lock.
class BufferPool {
 public:
  beast::flat_buffer take() {
    if (free_.empty()) return beast::flat_buffer();
    beast::flat_buffer result = std::move(free_.back());
    free_.pop_back();
    return result;
  }

  void give_back(beast::flat_buffer buffer) {
    buffer.clear();
    free_.push_back(std::move(buffer));
  }

 private:
  std::vector<beast::flat_buffer> free_;
};

class EchoConnection : public std::enable_shared_from_this<EchoConnection> {
 public:
  EchoConnection(Socket socket, Mode mode, BufferPool& pool)
      : stream_(std::move(socket)), mode_(mode), pool_(pool) {
    stream_.read_message_max(kMessageBytesMax);
    stream_.auto_fragment(false);
  }

  void start() {
    stream_.async_accept([self = shared_from_this()](error_code error) {
      if (!error) self->await_frame();
    });
  }

 private:
  void await_frame() {
    if (mode_ == Mode::pending_read) {
      read();
      return;
    }
    stream_.next_layer().async_wait(Socket::wait_read,
                                    [self = shared_from_this()](error_code error) {
                                      if (error) return;
                                      self->buffer_ = self->pool_.take();
                                      self->read();
                                    });
  }

  void read() {
    stream_.async_read(buffer_, [self = shared_from_this()](error_code error, size_t) {
      if (!error) self->write();
    });
  }

  void write() {
    stream_.text(stream_.got_text());
    stream_.async_write(buffer_.cdata(), [self = shared_from_this()](error_code error, size_t) {
      if (error) return;
      self->buffer_.clear();
      if (self->mode_ == Mode::wait_readable) self->pool_.give_back(std::move(self->buffer_));
      self->await_frame();
    });
  }

  websocket::stream<Socket, false> stream_;
  beast::flat_buffer buffer_;
  Mode mode_;
  BufferPool& pool_;
};

class EchoServer {
 public:
  EchoServer(asio::io_context& context, const bench::Address& address, Mode mode)
      : mode_(mode), acceptor_(context) {
    bench::Fd listener = bench::listen_on(address);
    fmt::print("listening on {}\n", bench::local_address(listener).text());
    std::fflush(stdout);
    acceptor_.assign(asio::ip::tcp::v4(), listener.release());
    accept();
  }

 private:
  void accept() {
    acceptor_.async_accept([this](error_code error, Socket socket) {
      if (error == asio::error::operation_aborted) return;
      if (!error) {
        error_code ignored;
        socket.set_option(asio::ip::tcp::no_delay(true), ignored);
        std::make_shared<EchoConnection>(std::move(socket), mode_, pool_)->start();
      }
      accept();
    });
  }

  Mode mode_;
  BufferPool pool_;
  Acceptor acceptor_;
};

int serve(const std::string& listen, Mode mode) {
  bench::raise_open_files_limit();
  // One thread runs everything, so Asio's locks may go.
  asio::io_context context(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE);
  asio::signal_set signals(context, SIGINT, SIGTERM);
  signals.async_wait([&](error_code, int) { context.stop(); });
  const EchoServer server(context, bench::parse_address(listen), mode);
  context.run();
  return 0;
}

int run_program(int argc, char** argv) {
  CLI::App app(
      "Bare Boost.Beast WebSocket echo server: the yardstick beside which the server is measured.");
  std::string listen = "127.0.0.1:0";
  Mode mode = Mode::pending_read;
  const std::map<std::string, Mode> modes{{"pending-read", Mode::pending_read},
                                          {"wait-readable", Mode::wait_readable}};
  app.add_option("--listen", listen,
                 "ADDR:PORT; port 0 takes a free one, which the first line tells")
      ->capture_default_str();
  app.add_option("--mode", mode,
                 "how a connection waits for a frame: pending-read or wait-readable")
      ->transform(CLI::CheckedTransformer(modes))
      ->default_str("pending-read");
  CLI11_PARSE(app, argc, argv);
  return serve(listen, mode);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run_program(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "parlance-echo: %s\n", error.what());
    return 1;
  }
}
