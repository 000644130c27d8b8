// Tells which of a core's long-lived sockets can be read or written: one epoll set, itself waited
// for by the core's io_context. A socket costs nothing in user memory and is never re-armed, and a
// busy turn serves up to kBatch sockets with one system call (docs/adr: own framing, own
// readiness). Thread: the core.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <sys/epoll.h>

namespace parlance::net {

/// What is told about a socket.
class ReadinessListener {
 public:
  virtual ~ReadinessListener() = default;
  struct Ready {
    bool read = false;
    bool write = false;
    bool ended = false;   ///< The peer sends no more; what it sent may still have to be read.
    bool failed = false;  ///< Both directions are over; told also to who waits for nothing.
  };
  virtual void on_ready(Ready ready) = 0;
};

class ReadinessSet {
 public:
  /// Throws std::system_error when the kernel gives no epoll set.
  explicit ReadinessSet(boost::asio::io_context& io);

  /// Starts to watch; `keep_alive` is held as long as a wait is under way.
  void start(std::shared_ptr<void> keep_alive);
  /// Stops for good and closes the set. The sockets stay their owners'.
  void stop();

  /// Watches `fd` for reading. Edge-triggered, which spares the kernel a second look at every
  /// socket that was read: a listener reads until a read comes short, or calls change(). False when
  /// the kernel refuses.
  bool add(int fd, ReadinessListener& listener);
  /// What holds now of the given kinds is told once more.
  void change(int fd, ReadinessListener& listener, bool read, bool write);
  /// Nothing is told to `listener` any more, also not of the batch being told now.
  void remove(int fd, const ReadinessListener& listener);

 private:
  static constexpr std::size_t kBatch = 256;
  void wait(std::shared_ptr<void> keep_alive);
  void tell();

  boost::asio::posix::basic_stream_descriptor<boost::asio::io_context::executor_type> epoll_;
  std::array<epoll_event, kBatch> batch_{};
  int batch_size_ = 0;
};

}  // namespace parlance::net
