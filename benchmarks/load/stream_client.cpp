#include "benchmarks/load/stream_client.h"

#include <array>
#include <cerrno>

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "benchmarks/support/clock.h"

namespace parlance::benchmarks {
namespace {

constexpr size_t kHeadBytesMax = 64 << 10;
constexpr size_t kLineBytesMax = 64 << 20;

std::array<char, 256 << 10>& read_buffer() {
  static std::array<char, 256 << 10> buffer;
  return buffer;
}

}  // namespace

StreamClient::StreamClient(EventLoop& loop, StreamObserver& observer, const Address& address,
                           size_t index)
    : loop_(loop), observer_(observer), socket_(start_connect(address)), index_(index) {
  loop_.add(socket_.get(), EPOLLIN | EPOLLOUT, this);
}

StreamClient::~StreamClient() {
  if (socket_) loop_.remove(socket_.get());
}

void StreamClient::send(std::string_view request) {
  busy_ = true;
  in_body_ = false;
  done_seen_ = false;
  error_.clear();
  head_.clear();
  line_.clear();
  decoder_.reset();
  if (is_closed()) return;
  out_ += request;
  if (connected_) flush();
}

void StreamClient::on_ready(uint32_t events) {
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

void StreamClient::flush() {
  while (!out_.empty()) {
    const ssize_t count = ::send(socket_.get(), out_.data(), out_.size(), MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) {
      loop_.change(socket_.get(), EPOLLIN | EPOLLOUT, this);
      return;
    }
    if (count < 0) {
      close(errno_text(errno));
      return;
    }
    out_.erase(0, static_cast<size_t>(count));
  }
  loop_.change(socket_.get(), EPOLLIN, this);
}

void StreamClient::read_input() {
  auto& buffer = read_buffer();
  const ssize_t count = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (count <= 0) {
    close(count == 0 ? std::string("the connection was closed") : errno_text(errno));
    return;
  }
  take_input(std::string_view(buffer.data(), static_cast<size_t>(count)), now_ns());
}

void StreamClient::take_input(std::string_view input, int64_t received_ns) {
  if (!in_body_) {
    const size_t taken = take_head(input);
    if (!in_body_ || is_closed()) return;
    input.remove_prefix(taken);
  }
  decoder_.feed(input, [&](std::string_view piece) { take_body(piece, received_ns); });
  if (decoder_.failed()) {
    close("the chunked framing is broken");
  } else if (decoder_.done()) {
    end(done_seen_ ? std::string_view(error_) : "the stream ended without [DONE]", received_ns);
  }
}

/// Collects the response head; returns how much of `input` belonged to it.
size_t StreamClient::take_head(std::string_view input) {
  const size_t before = head_.size();
  head_ += input;
  const auto head = parse_http_head(head_);
  if (!head) {
    if (head_.size() > kHeadBytesMax) close("the response head has no end");
    return input.size();
  }
  const auto coding = head->find("transfer-encoding");
  if (head->start_line.substr(0, 12) != "HTTP/1.1 200") {
    close(fmt::format("the upstream answered {}", head->start_line));
  } else if (!coding || !equal_ignoring_case(*coding, "chunked")) {
    close("the upstream did not stream");
  } else {
    in_body_ = true;
  }
  return head->bytes - before;
}

void StreamClient::take_body(std::string_view piece, int64_t received_ns) {
  while (!piece.empty()) {
    const size_t end = piece.find('\n');
    if (end == std::string_view::npos) {
      if (line_.size() < kLineBytesMax) line_ += piece;
      return;
    }
    if (line_.empty()) {
      take_line(piece.substr(0, end), received_ns);
    } else {
      line_ += piece.substr(0, end);
      take_line(line_, received_ns);
      line_.clear();
    }
    piece.remove_prefix(end + 1);
  }
}

void StreamClient::take_line(std::string_view line, int64_t received_ns) {
  constexpr std::string_view kData = "data: ";
  constexpr std::string_view kContent = R"("content":")";
  if (line.substr(0, kData.size()) != kData) return;
  line.remove_prefix(kData.size());
  if (line.substr(0, 6) == "[DONE]") {
    done_seen_ = true;
    return;
  }
  const size_t place = line.find(kContent);
  if (place == std::string_view::npos) {
    if (line.substr(0, 9) == R"({"error":)") error_ = line;
    return;
  }
  const std::string_view rest = line.substr(place + kContent.size());
  size_t end = 0;
  while (end < rest.size() && rest[end] != '"') end += rest[end] == '\\' ? 2 : 1;
  const std::string_view text = rest.substr(0, end);
  if (!text.empty()) observer_.on_delta(*this, text, received_ns);
}

void StreamClient::end(std::string_view error, int64_t received_ns) {
  busy_ = false;
  in_body_ = false;
  observer_.on_end(*this, error, received_ns);
}

void StreamClient::close(std::string_view why) {
  loop_.remove(socket_.get());
  socket_.reset();
  if (busy_) end(why, now_ns());
}

std::string stream_request(const Url& url, std::string_view model, std::string_view message,
                           std::string_view api_key) {
  const std::string body =
      fmt::format(R"({{"model":"{}","messages":[{{"role":"user","content":"{}"}}],"stream":true,)"
                  R"("stream_options":{{"include_usage":true}}}})",
                  model, message);
  const std::string key =
      api_key.empty() ? "" : fmt::format("Authorization: Bearer {}\r\n", api_key);
  return fmt::format(
      "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nAccept: "
      "text/event-stream\r\n{}Content-Length: {}\r\n\r\n{}",
      url.path, url.address.text(), key, body.size(), body);
}

}  // namespace parlance::benchmarks
