// One listening address: accepts and deals the sockets out to the cores in turn.
// Lives on one core; bound from the main thread before.
#pragma once

#include <memory>
#include <string>

#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>

#include "base/result.h"
#include "base/unique_fd.h"
#include "net/core.h"

namespace parlance::net {

/// An address that is bound and listens.
struct BoundAddress {
  UniqueFd fd;
  std::string text;       ///< "host:port" with the port it really has.
  bool loopback = false;  ///< Only this machine can reach it.
};

/// Binds "host:port" (base/listen_address.h). Errors: invalid_argument (not an address),
/// unavailable (the port is taken, or the system says no), with a sentence that names the address
/// and the option.
Result<BoundAddress> bind_address(const std::string& address);

class Listener final : public std::enable_shared_from_this<Listener> {
 public:
  Listener(Core& core, UniqueFd fd);

  void start();
  void stop();

 private:
  using Executor = boost::asio::io_context::executor_type;
  using Clock = std::chrono::steady_clock;

  void wait();
  void pause();
  /// False when descriptors have run out.
  bool accept_waiting();
  void deal(UniqueFd fd, const std::string& address);

  const std::shared_ptr<Core> core_;
  std::unique_ptr<boost::asio::posix::basic_stream_descriptor<Executor>> socket_;
  std::unique_ptr<
      boost::asio::basic_waitable_timer<Clock, boost::asio::wait_traits<Clock>, Executor>>
      timer_;
  std::size_t next_ = 0;    ///< Core of the next socket.
  bool exhausted_ = false;  ///< The last attempt found no descriptor; told once.
};

}  // namespace parlance::net
