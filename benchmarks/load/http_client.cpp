#include "benchmarks/load/http_client.h"

#include <array>
#include <cerrno>
#include <charconv>
#include <utility>

#include <sys/epoll.h>
#include <sys/socket.h>

#include "benchmarks/support/clock.h"
#include "benchmarks/support/http.h"

namespace parlance::benchmarks {
namespace {

constexpr size_t kHeadBytesMax = 64 << 10;
constexpr size_t kBodyBytesMax = 64 << 20;
constexpr std::string_view kProtocol = "HTTP/1.1 ";

std::array<char, 256 << 10>& read_buffer() {
  static std::array<char, 256 << 10> buffer;
  return buffer;
}

/// All of `text` as a number.
template <class Number>
bool read_number(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

HttpAnswer parse_http_answer(std::string_view buffer) {
  HttpAnswer answer;
  const auto head = parse_http_head(buffer.substr(0, kHeadBytesMax));
  if (!head) {
    if (buffer.size() >= kHeadBytesMax) answer.state = HttpAnswer::State::broken;
    return answer;
  }
  const auto length = head->find("content-length");
  size_t body_bytes = 0;
  if (head->start_line.substr(0, kProtocol.size()) != kProtocol ||
      !read_number(head->start_line.substr(kProtocol.size()).substr(0, 3), answer.status) ||
      !length || !read_number(*length, body_bytes) || body_bytes > kBodyBytesMax) {
    answer.state = HttpAnswer::State::broken;
    return answer;
  }
  if (buffer.size() - head->bytes < body_bytes) return answer;
  answer.state = HttpAnswer::State::complete;
  answer.body = buffer.substr(head->bytes, body_bytes);
  answer.bytes = head->bytes + body_bytes;
  return answer;
}

HttpClient::HttpClient(EventLoop& loop, HttpObserver& observer, const Address& address,
                       size_t index)
    : loop_(loop), observer_(observer), socket_(start_connect(address)), index_(index) {
  loop_.add(socket_.get(), EPOLLIN | EPOLLOUT, this);
}

HttpClient::~HttpClient() {
  if (socket_) loop_.remove(socket_.get());
}

void HttpClient::send(std::string request) {
  if (is_closed()) return;
  out_ = std::move(request);
  out_sent_ = 0;
  if (connected_) flush();
}

void HttpClient::on_ready(uint32_t events) {
  if (is_closed()) return;
  if (!connected_ && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0) {
    if (const int error = connect_error(socket_); error != 0) {
      close(errno_text(error));
      return;
    }
    connected_ = true;
    flush();
  } else if ((events & EPOLLOUT) != 0) {
    flush();
  }
  if (!is_closed() && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) read_input();
}

void HttpClient::flush() {
  bool blocked = false;
  while (out_sent_ < out_.size() && !blocked) {
    const ssize_t count =
        ::send(socket_.get(), out_.data() + out_sent_, out_.size() - out_sent_, MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    blocked = count < 0 && errno == EAGAIN;
    // Another error is met by read_input(), outside of the caller's loop.
    if (count < 0 && !blocked) out_sent_ = out_.size();
    if (count > 0) out_sent_ += static_cast<size_t>(count);
  }
  if (blocked == watching_writable_) return;
  watching_writable_ = blocked;
  loop_.change(socket_.get(), blocked ? EPOLLIN | EPOLLOUT : EPOLLIN, this);
}

void HttpClient::read_input() {
  auto& buffer = read_buffer();
  const ssize_t count = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (count <= 0) {
    close(count == 0 ? std::string("the server closed the connection") : errno_text(errno));
    return;
  }
  const int64_t received_ns = now_ns();
  in_.append(buffer.data(), static_cast<size_t>(count));
  const HttpAnswer answer = parse_http_answer(in_);
  if (answer.state == HttpAnswer::State::incomplete) return;
  if (answer.state == HttpAnswer::State::broken || answer.bytes != in_.size()) {
    close("the server sent what is no answer");
    return;
  }
  // The observer may send the next request from within, whose answer then finds `in_` empty.
  const std::string whole = std::exchange(in_, {});
  observer_.on_answer(*this, answer.status,
                      std::string_view(whole).substr(whole.size() - answer.body.size()),
                      received_ns);
}

void HttpClient::close(std::string_view why) {
  if (is_closed()) return;
  loop_.remove(socket_.get());
  socket_.reset();
  observer_.on_closed(*this, why);
}

}  // namespace parlance::benchmarks
