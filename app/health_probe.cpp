#include "app/health_probe.h"

#include <algorithm>
#include <chrono>
#include <string_view>

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <fmt/format.h>

#include "base/listen_address.h"

namespace parlance::app {
namespace {

namespace asio = boost::asio;

constexpr std::string_view kRequest =
    "GET /healthz HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\n\r\n";
constexpr std::chrono::seconds kPatience{5};
constexpr std::size_t kAnswerBytesMax = 64 << 10;

/// Where a listener on `host` can be reached from this machine.
asio::ip::address reachable(const std::string& host) {
  auto address = asio::ip::make_address(host);
  if (!address.is_unspecified()) return address;
  if (address.is_v4()) return asio::ip::address_v4::loopback();
  return asio::ip::address_v6::loopback();
}

/// All that `endpoint` answers until it closes the connection.
Result<std::string> ask(const asio::ip::tcp::endpoint& endpoint) {
  asio::io_context io;
  asio::ip::tcp::socket socket(io);
  boost::system::error_code failure;
  std::string answer;
  socket.async_connect(endpoint, [&](const boost::system::error_code& connected) {
    failure = connected;
    if (connected) return;
    const auto on_sent = [&](const boost::system::error_code& sent, std::size_t) {
      failure = sent;
      if (sent) return;
      asio::async_read(
          socket, asio::dynamic_buffer(answer, kAnswerBytesMax),
          [&](const boost::system::error_code& ended, std::size_t) { failure = ended; });
    };
    asio::async_write(socket, asio::buffer(kRequest), on_sent);
  });
  io.run_for(kPatience);
  if (!io.stopped()) {
    return Error{Errc::unavailable, fmt::format("not within {} s", kPatience.count())};
  }
  if (failure && failure != asio::error::eof) return Error{Errc::unavailable, failure.message()};
  return answer;
}

}  // namespace

Result<std::string> probe_health(const std::string& address) {
  const auto listen = parse_listen_address(address);
  if (!listen) return listen.error();
  if (listen->port == 0) {
    return Error{Errc::invalid_argument,
                 "port 0 is a free one that only the server knows; give "
                 "the address with --listen"};
  }
  const auto answer = ask({reachable(listen->host), listen->port});
  if (!answer) {
    return Error{answer.error().code,
                 fmt::format("no answer from {}: {}", address, answer.error().detail)};
  }
  const std::string_view status = std::string_view(*answer).substr(0, answer->find("\r\n"));
  constexpr std::size_t kVersionBytes = 9;  // "HTTP/1.x "
  if (status.substr(std::min(status.size(), kVersionBytes)).substr(0, 3) != "200") {
    return Error{Errc::unavailable, fmt::format("{} does not answer 200 to /healthz", address)};
  }
  const std::size_t head_end = answer->find("\r\n\r\n");
  return head_end == std::string::npos ? std::string() : answer->substr(head_end + 4);
}

}  // namespace parlance::app
