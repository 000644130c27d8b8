#include "net/readiness.h"

#include <cerrno>
#include <system_error>

namespace parlance::net {
namespace {

constexpr std::uint32_t kRead = EPOLLIN | EPOLLRDHUP;

int make_epoll() {
  const int fd = epoll_create1(EPOLL_CLOEXEC);
  if (fd < 0) throw std::system_error(errno, std::generic_category(), "epoll_create1");
  return fd;
}

}  // namespace

ReadinessSet::ReadinessSet(boost::asio::io_context& io) : epoll_(io, make_epoll()) {}

void ReadinessSet::start(std::shared_ptr<void> keep_alive) {
  wait(std::move(keep_alive));
}

void ReadinessSet::stop() {
  boost::system::error_code ignored;
  epoll_.close(ignored);
}

void ReadinessSet::wait(std::shared_ptr<void> keep_alive) {
  epoll_.async_wait(epoll_.wait_read,
                    [this, keep_alive = std::move(keep_alive)](boost::system::error_code error) {
                      if (error || !epoll_.is_open()) return;
                      tell();
                      if (epoll_.is_open()) wait(keep_alive);
                    });
}

void ReadinessSet::tell() {
  batch_size_ = epoll_wait(epoll_.native_handle(), batch_.data(), kBatch, 0);
  for (int i = 0; i < batch_size_; ++i) {
    const epoll_event event = batch_[static_cast<std::size_t>(i)];
    if (event.data.ptr == nullptr) continue;  // Removed by one before it.
    static_cast<ReadinessListener*>(event.data.ptr)
        ->on_ready({.read = (event.events & EPOLLIN) != 0,
                    .write = (event.events & EPOLLOUT) != 0,
                    .ended = (event.events & EPOLLRDHUP) != 0,
                    .failed = (event.events & (EPOLLERR | EPOLLHUP)) != 0});
  }
  batch_size_ = 0;
}

bool ReadinessSet::add(int fd, ReadinessListener& listener) {
  epoll_event event{};
  event.events = kRead | EPOLLET;
  event.data.ptr = &listener;
  return epoll_ctl(epoll_.native_handle(), EPOLL_CTL_ADD, fd, &event) == 0;
}

void ReadinessSet::change(int fd, ReadinessListener& listener, bool read, bool write) {
  epoll_event event{};
  event.events = (read ? kRead : 0U) | (write ? EPOLLOUT : 0U) | EPOLLET;
  event.data.ptr = &listener;
  epoll_ctl(epoll_.native_handle(), EPOLL_CTL_MOD, fd, &event);
}

void ReadinessSet::remove(int fd, const ReadinessListener& listener) {
  if (epoll_.is_open()) epoll_ctl(epoll_.native_handle(), EPOLL_CTL_DEL, fd, nullptr);
  for (int i = 0; i < batch_size_; ++i) {
    epoll_event& event = batch_[static_cast<std::size_t>(i)];
    if (event.data.ptr == &listener) event.data.ptr = nullptr;
  }
}

}  // namespace parlance::net
