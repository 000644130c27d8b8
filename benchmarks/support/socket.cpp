#include "benchmarks/support/socket.h"

#include <cerrno>
#include <charconv>
#include <stdexcept>
#include <string_view>
#include <system_error>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>

namespace parlance::benchmarks {
namespace {

constexpr int kBacklog = 16'384;

sockaddr_in to_sockaddr(in_addr_t host, uint16_t port) {
  sockaddr_in result{};
  result.sin_family = AF_INET;
  result.sin_addr.s_addr = host;
  result.sin_port = htons(port);
  return result;
}

Fd make_socket() {
  Fd result(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!result) throw std::system_error(errno, std::generic_category(), "socket");
  return result;
}

void set_flag(const Fd& socket, int level, int option) {
  const int on = 1;
  ::setsockopt(socket.get(), level, option, &on, sizeof(on));
}

}  // namespace

std::string Address::text() const {
  char host_text[INET_ADDRSTRLEN] = {};
  in_addr value{};
  value.s_addr = host;
  inet_ntop(AF_INET, &value, host_text, sizeof(host_text));
  return fmt::format("{}:{}", host_text, port);
}

Address parse_address(const std::string& text) {
  const auto complain = [&] {
    throw std::invalid_argument(
        fmt::format("'{}' is not an address: expected ADDR:PORT, such as 127.0.0.1:9000", text));
  };
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos) complain();
  std::string host = text.substr(0, colon);
  if (host == "localhost") host = "127.0.0.1";
  Address result;
  const char* port_begin = text.data() + colon + 1;
  const char* port_end = text.data() + text.size();
  const auto [end, error] = std::from_chars(port_begin, port_end, result.port);
  if (error != std::errc() || end != port_end) complain();
  in_addr parsed{};
  if (inet_pton(AF_INET, host.c_str(), &parsed) != 1) complain();
  result.host = parsed.s_addr;
  return result;
}

Url parse_url(const std::string& text) {
  std::string_view rest = text;
  bool known = false;
  for (const std::string_view scheme : {"ws://", "http://"}) {
    if (rest.substr(0, scheme.size()) == scheme) {
      rest.remove_prefix(scheme.size());
      known = true;
      break;
    }
  }
  if (!known) {
    throw std::invalid_argument(
        fmt::format("'{}' is not a URL this program speaks: expected ws:// or http://", text));
  }
  const size_t slash = rest.find('/');
  std::string host_port(rest.substr(0, slash));
  if (host_port.find(':') == std::string::npos) host_port += ":80";
  Url result;
  result.address = parse_address(host_port);
  if (slash != std::string_view::npos) result.path = rest.substr(slash);
  return result;
}

Fd listen_on(const Address& address) {
  Fd socket = make_socket();
  set_flag(socket, SOL_SOCKET, SO_REUSEADDR);
  // Accepted sockets inherit it, which saves a call per connection.
  set_flag(socket, IPPROTO_TCP, TCP_NODELAY);
  const sockaddr_in target = to_sockaddr(address.host, address.port);
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&target), sizeof(target)) != 0 ||
      ::listen(socket.get(), kBacklog) != 0) {
    throw std::system_error(errno, std::generic_category(), "cannot listen on " + address.text());
  }
  return socket;
}

Address local_address(const Fd& socket) {
  sockaddr_in bound{};
  socklen_t size = sizeof(bound);
  if (::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&bound), &size) != 0) {
    throw std::system_error(errno, std::generic_category(), "getsockname");
  }
  return {bound.sin_addr.s_addr, ntohs(bound.sin_port)};
}

Fd start_connect(const Address& address, in_addr_t source_host) {
  Fd socket = make_socket();
  set_flag(socket, IPPROTO_TCP, TCP_NODELAY);
  if (source_host != 0) {
    // The port is chosen at connect, when the whole four-tuple is known: ports are then reusable.
    set_flag(socket, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT);
    const sockaddr_in source = to_sockaddr(source_host, 0);
    if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&source), sizeof(source)) != 0) {
      throw std::system_error(errno, std::generic_category(), "cannot bind a source address");
    }
  }
  const sockaddr_in target = to_sockaddr(address.host, address.port);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&target), sizeof(target)) != 0 &&
      errno != EINPROGRESS) {
    throw std::system_error(errno, std::generic_category(), "cannot connect to " + address.text());
  }
  return socket;
}

int connect_error(const Fd& socket) {
  int error = 0;
  socklen_t size = sizeof(error);
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) return errno;
  return error;
}

std::string errno_text(int error) {
  return std::generic_category().message(error);
}

uint64_t raise_open_files_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1'024;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  ::getrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
}

}  // namespace parlance::benchmarks
