#include "net/listener.h"

#include <cerrno>
#include <system_error>

#include <arpa/inet.h>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/post.hpp>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "base/listen_address.h"
#include "base/log.h"
#include "base/metrics.h"
#include "net/http_connection.h"

namespace parlance::net {
namespace {

namespace asio = boost::asio;

constexpr int kBacklog = 4096;
/// Accepted in one turn of the loop at most, so that open connections are served in between.
constexpr int kAcceptsPerTurn = 64;
/// Bytes the kernel may hold unsent: with more, a slow reader would be noticed late.
constexpr int kUnsentBytes = 128 << 10;

Error refused(const std::string& address, const std::string& why) {
  return {Errc::invalid_argument,
          fmt::format("cannot listen on '{}': {} (option --listen, `listen:` in the file)", address,
                      why)};
}

void set_option(int fd, int level, int name, int value) {
  setsockopt(fd, level, name, &value, sizeof value);
}

/// Set on the listening socket: Linux hands all of these down to accepted ones.
void set_options(int fd) {
  set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, 60);
  set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, 15);
  set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, 4);
  set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, kUnsentBytes);
}

std::string numeric_host(const sockaddr_storage& from) {
  char out[INET6_ADDRSTRLEN] = "";
  if (from.ss_family == AF_INET6) {
    inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6&>(from).sin6_addr, out, sizeof out);
  } else {
    inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in&>(from).sin_addr, out, sizeof out);
  }
  return out;
}

}  // namespace

Result<BoundAddress> bind_address(const std::string& address) {
  const Result<ListenAddress> parsed = parse_listen_address(address);
  if (!parsed) return refused(address, parsed.error().detail);
  boost::system::error_code error;
  const asio::ip::address ip = asio::ip::make_address(parsed->host, error);
  if (error) return refused(address, error.message());

  const asio::ip::tcp::endpoint wanted(ip, parsed->port);
  BoundAddress bound{.fd = UniqueFd(socket(wanted.protocol().family(),
                                           SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)),
                     .text = {},
                     .loopback = parsed->loopback};
  if (!bound.fd) return refused(address, std::generic_category().message(errno));
  set_options(bound.fd.get());
  if (ip.is_v6()) set_option(bound.fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1);
  if (::bind(bound.fd.get(), wanted.data(), static_cast<socklen_t>(wanted.size())) != 0 ||
      ::listen(bound.fd.get(), kBacklog) != 0) {
    if (errno != EADDRINUSE) return refused(address, std::generic_category().message(errno));
    return refused(address, fmt::format("port {} is in use", parsed->port));
  }
  asio::ip::tcp::endpoint got;
  socklen_t size = static_cast<socklen_t>(got.capacity());
  getsockname(bound.fd.get(), got.data(), &size);
  got.resize(size);
  bound.text = ip.is_v6() ? fmt::format("[{}]:{}", ip.to_string(), got.port())
                          : fmt::format("{}:{}", ip.to_string(), got.port());
  return bound;
}

Listener::Listener(Core& core, UniqueFd fd)
    : core_(core.shared_from_this()),
      socket_(std::make_unique<asio::posix::basic_stream_descriptor<Executor>>(core.io(),
                                                                               fd.release())),
      timer_(
          std::make_unique<asio::basic_waitable_timer<Clock, asio::wait_traits<Clock>, Executor>>(
              core.io())) {}

void Listener::start() {
  wait();
}

void Listener::stop() {
  boost::system::error_code ignored;
  if (!socket_ || !socket_->is_open()) return;
  socket_->close(ignored);
  timer_->cancel();
  // After the handlers that are queued already, which still look at them.
  asio::post(core_->io(), [self = shared_from_this()] {
    self->socket_.reset();
    self->timer_.reset();
  });
}

void Listener::wait() {
  socket_->async_wait(socket_->wait_read,
                      [self = shared_from_this()](boost::system::error_code error) {
                        if (error || !self->socket_->is_open()) return;
                        if (self->accept_waiting()) {
                          self->wait();
                        } else {
                          self->pause();
                        }
                      });
}

void Listener::pause() {
  if (!exhausted_) {
    log::warn("accepting pauses reason={} ms={}", log::value("no file descriptors left"),
              core_->options().accept_pause.count());
  }
  exhausted_ = true;
  timer_->expires_after(core_->options().accept_pause);
  timer_->async_wait([self = shared_from_this()](boost::system::error_code error) {
    if (!error && self->socket_->is_open()) self->wait();
  });
}

bool Listener::accept_waiting() {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    sockaddr_storage from{};
    socklen_t size = sizeof from;
    UniqueFd fd(accept4(socket_->native_handle(), reinterpret_cast<sockaddr*>(&from), &size,
                        SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (fd) {
      exhausted_ = false;
      deal(std::move(fd), numeric_host(from));
      continue;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) return true;
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) return false;
    // Anything else concerns the one connection that failed before it was accepted.
  }
  return true;
}

void Listener::deal(UniqueFd fd, const std::string& address) {
  Shared& shared = core_->shared();
  Core& target = *shared.cores[next_++ % shared.cores.size()];
  std::optional<ConnectionPermit> permit = shared.limits.acquire(address);
  if (permit) {
    metrics::get().connections_accepted.add();
    asio::post(target.io(), [core = target.shared_from_this(), fd = std::move(fd),
                             permit = std::move(*permit)]() mutable {
      serve_http(*core, std::move(fd), std::move(permit));
    });
    return;
  }
  metrics::get().connections_refused.add();
  if (shared.refusals.fetch_add(1) >= shared.options.refusals_max) {
    --shared.refusals;
    return;
  }
  asio::post(target.io(), [core = target.shared_from_this(), fd = std::move(fd)]() mutable {
    refuse_http(*core, std::move(fd));
  });
}

}  // namespace parlance::net
