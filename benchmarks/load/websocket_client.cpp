#include "benchmarks/load/websocket_client.h"

#include <array>
#include <cerrno>

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "benchmarks/support/clock.h"
#include "benchmarks/support/http.h"

namespace parlance::benchmarks {
namespace {

constexpr uint64_t kMessageBytesMax = 64 << 20;
constexpr size_t kHandshakeBytesMax = 64 << 10;
// The example of RFC 6455, section 1.3: what must come back is known without computing it.
constexpr std::string_view kKey = "dGhlIHNhbXBsZSBub25jZQ==";
constexpr std::string_view kAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

std::array<char, 256 << 10>& read_buffer() {
  static std::array<char, 256 << 10> buffer;
  return buffer;
}

}  // namespace

WebsocketClient::WebsocketClient(EventLoop& loop, WebsocketObserver& observer,
                                 const WebsocketTarget& target, size_t index)
    : loop_(loop),
      observer_(observer),
      socket_(start_connect(target.address, target.source_host)),
      index_(index) {
  out_ = fmt::format(
      "GET {} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Key: {}\r\nSec-WebSocket-Version: 13\r\n",
      target.path, target.address.text(), kKey);
  if (!target.api_key.empty()) out_ += fmt::format("Authorization: Bearer {}\r\n", target.api_key);
  out_ += "\r\n";
  loop_.add(socket_.get(), EPOLLIN | EPOLLOUT, this);
}

WebsocketClient::~WebsocketClient() {
  if (socket_) loop_.remove(socket_.get());
}

void WebsocketClient::on_ready(uint32_t events) {
  if (state_ == State::closed) return;
  if (state_ == State::connecting) begin_handshake();
  if (state_ != State::closed && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) read_input();
  if (state_ != State::closed && (events & EPOLLOUT) != 0) flush();
}

void WebsocketClient::begin_handshake() {
  if (const int error = connect_error(socket_); error != 0) {
    close(errno_text(error));
    return;
  }
  state_ = State::handshaking;
}

void WebsocketClient::read_input() {
  auto& buffer = read_buffer();
  const ssize_t count = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (count <= 0) {
    close(count == 0 ? std::string("the server closed the connection") : errno_text(errno));
    return;
  }
  const int64_t received_ns = now_ns();
  const std::string_view fresh(buffer.data(), static_cast<size_t>(count));
  if (in_.empty()) {
    const std::string_view rest = take_input(fresh, received_ns);
    if (state_ != State::closed) in_ = rest;
    return;
  }
  in_ += fresh;
  const size_t rest = take_input(in_, received_ns).size();
  if (state_ == State::closed) return;
  if (rest == 0) {
    // Given back: thousands of idle connections shall not each keep what one long frame needed.
    std::string().swap(in_);
  } else {
    in_.erase(0, in_.size() - rest);
  }
}

/// Handles all whole frames in `input`; returns what is left.
std::string_view WebsocketClient::take_input(std::string_view input, int64_t received_ns) {
  if (state_ == State::handshaking) {
    input = take_handshake(input);
    if (state_ != State::open) return input;
  }
  while (state_ == State::open) {
    const ServerFrame frame = parse_server_frame(input, kMessageBytesMax);
    if (frame.state == ServerFrame::State::incomplete) break;
    if (frame.state == ServerFrame::State::broken) {
      close("the server sent a broken frame");
      break;
    }
    input.remove_prefix(frame.bytes);
    if (!take_frame(frame, received_ns)) break;
  }
  return input;
}

std::string_view WebsocketClient::take_handshake(std::string_view input) {
  const auto head = parse_http_head(input);
  if (!head) {
    if (input.size() > kHandshakeBytesMax) close("the handshake's answer has no end");
    return input;
  }
  if (head->start_line.substr(0, 12) != "HTTP/1.1 101") {
    close(fmt::format("the handshake was refused: {} {}", head->start_line,
                      input.substr(head->bytes, 300)));
    return {};
  }
  const auto accept = head->find("sec-websocket-accept");
  if (!accept || *accept != kAccept) {
    close("the handshake's answer does not fit its key");
    return {};
  }
  state_ = State::open;
  std::string().swap(out_);
  const std::string_view rest = input.substr(head->bytes);
  observer_.on_open(*this);
  return rest;
}

bool WebsocketClient::take_frame(const ServerFrame& frame, int64_t received_ns) {
  switch (frame.opcode) {
    case Opcode::text:
    case Opcode::binary:
      if (frame.final) {
        observer_.on_message(*this, frame.payload, received_ns);
      } else {
        fragments_ = frame.payload;
      }
      break;
    case Opcode::continuation:
      if (fragments_.size() + frame.payload.size() > kMessageBytesMax) {
        close("the server sent a message without end");
        break;
      }
      fragments_ += frame.payload;
      if (frame.final) {
        const std::string whole = std::move(fragments_);
        fragments_.clear();
        observer_.on_message(*this, whole, received_ns);
      }
      break;
    case Opcode::ping: {
      std::string pong;
      append_client_frame(pong, Opcode::pong, frame.payload);
      send_frames(pong);
      break;
    }
    case Opcode::pong:
      break;
    case Opcode::close:
      close(fmt::format("the server closed: {}",
                        frame.payload.size() > 2 ? frame.payload.substr(2) : "no reason given"));
      break;
    default:
      close("the server sent an unknown frame");
  }
  return state_ == State::open;
}

void WebsocketClient::send_text(std::string_view payload) {
  std::string frame;
  frame.reserve(payload.size() + 14);
  append_client_frame(frame, Opcode::text, payload);
  send_frames(frame);
}

void WebsocketClient::send_frames(std::string_view frames) {
  if (state_ != State::open) return;
  if (out_.empty()) {
    const ssize_t count = ::send(socket_.get(), frames.data(), frames.size(), MSG_NOSIGNAL);
    if (count == static_cast<ssize_t>(frames.size())) return;
    // An error is met again by flush(), which deals with it outside of the caller's loop.
    if (count > 0) frames.remove_prefix(static_cast<size_t>(count));
  }
  out_ += frames;
  watch_writable(true);
}

void WebsocketClient::flush() {
  while (!out_.empty()) {
    const ssize_t count = ::send(socket_.get(), out_.data(), out_.size(), MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return;
    if (count < 0) {
      close(errno_text(errno));
      return;
    }
    out_.erase(0, static_cast<size_t>(count));
  }
  watch_writable(false);
}

void WebsocketClient::watch_writable(bool wanted) {
  if (watching_writable_ == wanted) return;
  watching_writable_ = wanted;
  loop_.change(socket_.get(), wanted ? EPOLLIN | EPOLLOUT : EPOLLIN, this);
}

void WebsocketClient::close(std::string_view why) {
  if (state_ == State::closed) return;
  state_ = State::closed;
  loop_.remove(socket_.get());
  socket_.reset();
  observer_.on_closed(*this, why);
}

}  // namespace parlance::benchmarks
