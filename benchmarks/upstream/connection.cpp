#include "benchmarks/upstream/connection.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <stdexcept>

#include <fmt/format.h>
#include <linux/sockios.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "benchmarks/support/clock.h"
#include "benchmarks/upstream/embeddings.h"
#include "benchmarks/upstream/server.h"

namespace parlance::benchmarks {
namespace {

constexpr size_t kReadBytes = 256 << 10;
constexpr size_t kRequestBytesMax = 128u << 20;
constexpr size_t kHeadBytesMax = 64 << 10;
// What is written at once, and what one connection may write before the others get their turn.
constexpr size_t kWriteBytes = 16 << 10;
constexpr size_t kTurnBytes = 64 << 10;
constexpr size_t kGarbageBytes = 512;

int64_t ms_to_ns(double ms) {
  return static_cast<int64_t>(ms * kNsPerMs);
}

std::string_view reason_of(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 204:
      return "No Content";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 413:
      return "Content Too Large";
    case 429:
      return "Too Many Requests";
    case 500:
      return "Internal Server Error";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    default:
      return "Simulated";
  }
}

std::string_view error_type_of(int status) {
  if (status == 429) return "rate_limit_error";
  if (status == 401 || status == 403) return "authentication_error";
  return status < 500 ? "invalid_request_error" : "server_error";
}

std::string garbage_bytes(uint64_t seed) {
  std::string out;
  while (out.size() < kGarbageBytes) out += static_cast<char>(mix(seed + out.size()) & 0xFF);
  return out;
}

/// Silence: one frame per three bytes of the request, MPEG-1 layer III, 128 kbit/s, 44.1 kHz.
std::string silent_mp3(size_t request_bytes) {
  constexpr size_t kFrameBytes = 417;
  std::string frame("\xFF\xFB\x90\xC4", 4);
  frame.resize(kFrameBytes, '\0');
  std::string out;
  for (size_t i = 0; i < 8 + request_bytes / 3; ++i) out += frame;
  return out;
}

/// All connections read through the same memory; nothing is kept in it between reads.
std::array<char, kReadBytes>& read_buffer() {
  static std::array<char, kReadBytes> buffer;
  return buffer;
}

/// Where an event is made before its size is known; as above.
std::string& event_buffer() {
  static std::string buffer;
  return buffer;
}

}  // namespace

UpstreamConnection::UpstreamConnection(UpstreamServer& server, Fd socket)
    : server_(server), socket_(std::move(socket)), timer_(server.loop(), [this] { pump(); }) {
  server_.loop().add(socket_.get(), EPOLLIN, this);
}

UpstreamConnection::~UpstreamConnection() = default;

void UpstreamConnection::on_ready(uint32_t events) {
  if (dropped_) return;
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) read_input();
  if (!dropped_ && (events & EPOLLOUT) != 0) pump();
}

// ---------------------------------------------------------------------------------------- input

void UpstreamConnection::read_input() {
  auto& buffer = read_buffer();
  const ssize_t count = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (count <= 0) {
    drop();
    return;
  }
  in_.append(buffer.data(), static_cast<size_t>(count));
  if (in_.size() > kRequestBytesMax + kHeadBytesMax) {
    drop();
    return;
  }
  if (state_ == State::idle) serve_buffered();
}

void UpstreamConnection::serve_buffered() {
  while (!dropped_ && state_ == State::idle && in_taken_ < in_.size() && take_request()) {
  }
  if (dropped_) return;
  if (in_taken_ == in_.size()) {
    in_.clear();
    in_taken_ = 0;
    if (in_.capacity() > kReadBytes) in_.shrink_to_fit();
  }
}

bool UpstreamConnection::take_request() {
  const std::string_view buffer = std::string_view(in_).substr(in_taken_);
  const auto head = parse_http_head(buffer);
  if (!head) {
    if (buffer.size() > kHeadBytesMax) drop();
    return false;
  }
  Request request;
  const size_t method_end = head->start_line.find(' ');
  const size_t target_end = head->start_line.rfind(' ');
  if (method_end == std::string_view::npos || target_end <= method_end) {
    drop();
    return false;
  }
  request.method = head->start_line.substr(0, method_end);
  std::string_view target = head->start_line.substr(method_end + 1, target_end - method_end - 1);
  const bool http_1_0 = head->start_line.substr(target_end + 1) == "HTTP/1.0";
  const auto connection = head->find("connection");
  keep_alive_ = !http_1_0 && !(connection && equal_ignoring_case(*connection, "close"));
  chunked_ = !http_1_0;

  std::string decoded;
  size_t body_bytes = 0;
  if (const auto coding = head->find("transfer-encoding"); coding && *coding == "chunked") {
    if (!take_chunked_body(*head, decoded, body_bytes)) return false;
    request.body = decoded;
  } else if (const auto length = head->find("content-length")) {
    std::from_chars(length->data(), length->data() + length->size(), body_bytes);
    if (body_bytes > kRequestBytesMax) {
      drop();
      return false;
    }
    if (buffer.size() < head->bytes + body_bytes) {
      const auto expect = head->find("expect");
      if (expect && !continue_sent_) {
        continue_sent_ = true;
        out_ += "HTTP/1.1 100 Continue\r\n\r\n";
        flush();
      }
      return false;
    }
    request.body = buffer.substr(head->bytes, body_bytes);
  }
  continue_sent_ = false;
  request.head = buffer.substr(0, head->bytes);
  const size_t question = target.find('?');
  if (question != std::string_view::npos) {
    request.query = target.substr(question + 1);
    target = target.substr(0, question);
  }
  if (target.substr(0, 4) == "/v1/") target.remove_prefix(3);
  request.path = target;
  in_taken_ += head->bytes + body_bytes;
  dispatch(request);
  return true;
}

bool UpstreamConnection::take_chunked_body(const HttpHead& head, std::string& body, size_t& bytes) {
  ChunkedDecoder decoder;
  const std::string_view rest = std::string_view(in_).substr(in_taken_ + head.bytes);
  bytes = decoder.feed(rest, [&](std::string_view piece) { body.append(piece); });
  if (decoder.failed()) drop();
  return decoder.done();
}

void UpstreamConnection::dispatch(const Request& request) {
  const bool is_post = request.method == "POST";
  try {
    if (is_post && (request.path == "/chat/completions" || request.path == "/embeddings" ||
                    request.path.substr(0, 7) == "/audio/")) {
      dispatch_model_call(request);
    } else {
      dispatch_control(request);
    }
  } catch (const std::invalid_argument& error) {
    answer_now(400, error_envelope(error.what(), "invalid_request_error", "invalid_request"));
  }
}

void UpstreamConnection::dispatch_model_call(const Request& request) {
  ++server_.stats().requests;
  if (request.path == "/chat/completions") {
    server_.record(Route::chat, request.head, request.body);
    answer_chat(request);
  } else if (request.path == "/embeddings") {
    server_.record(Route::embeddings, request.head, request.body);
    std::string body = embeddings_body(request.body);
    begin_call(server_.script().next({Route::embeddings, request.body, false}));
    const int64_t wait_ns = ms_to_ns(behaviour_.first_token_ms.value_or(0));
    answer_call(200, std::move(body), "application/json", wait_ns);
  } else {
    begin_call({});
    if (request.path == "/audio/speech") {
      answer_call(200, silent_mp3(request.body.size()), "audio/mpeg", 0);
    } else {
      std::string text;
      const uint64_t start = server_.vocabulary().start_of(request.body);
      for (uint64_t i = 0; i < 8; ++i) text += server_.vocabulary().token(start, i);
      answer_call(200, fmt::format(R"({{"text":"{}"}})", text), "application/json", 0);
    }
  }
}

void UpstreamConnection::dispatch_control(const Request& request) {
  const std::string_view method = request.method;
  const std::string_view path = request.path;
  const auto asks_for = [&](std::string_view text) {
    return request.query.find(text) != std::string_view::npos;
  };
  if (method == "GET" && path == "/models") {
    answer_now(
        200,
        R"({"object":"list","data":[)"
        R"({"id":"simulated","object":"model","created":1700000000,"owned_by":"parlance"},)"
        R"({"id":"simulated-embedding","object":"model","created":1700000000,"owned_by":"parlance"}]})");
  } else if (method == "GET" && path.substr(0, 8) == "/models/") {
    answer_now(
        200,
        fmt::format(R"({{"id":"{}","object":"model","created":1700000000,"owned_by":"parlance"}})",
                    json_escaped(path.substr(8))));
  } else if (method == "GET" && path == "/stats") {
    answer_now(200, server_.stats_json());
  } else if (method == "GET" && path == "/requests") {
    const Route route = asks_for("route=embeddings") ? Route::embeddings : Route::chat;
    answer_now(200, server_.requests_json(route, asks_for("headers=1")));
  } else if (method == "PUT" && path == "/script") {
    server_.replace_script(Script::parse(request.body));
    answer_now(200, R"({"ok":true})");
  } else if (method == "POST" && path == "/reset") {
    server_.reset();
    answer_now(200, R"({"ok":true})");
  } else {
    answer_now(404, error_envelope(fmt::format("no route {} {}", method, path),
                                   "invalid_request_error", "unknown_url"));
  }
}

// -------------------------------------------------------------------------------------- answers

void UpstreamConnection::answer_now(int status, std::string_view body, std::string_view type) {
  behaviour_ = {};
  cut_reached_ = false;
  body_bytes_ = 0;
  put_head(status, type, body.size());
  put_body(body);
  end_answer();
}

void UpstreamConnection::begin_call(Behaviour behaviour) {
  behaviour_ = std::move(behaviour);
  call_active_ = true;
  ++server_.stats().active;
  cut_reached_ = false;
  body_bytes_ = 0;
  unsplit_.clear();
  unsplit_sent_ = 0;
  stream_over_ = false;
  head_sent_ = false;
  if (behaviour_.close) keep_alive_ = false;
  due_ns_ = now_ns() + ms_to_ns(behaviour_.headers_ms);
}

void UpstreamConnection::answer_call(int status, std::string body, std::string_view type,
                                     int64_t wait_ns) {
  state_ = State::waiting_plain;
  plain_status_ = status;
  plain_body_ = std::move(body);
  plain_type_ = type;
  if (behaviour_.never_answer) return;
  if (behaviour_.status != 200 && status == 200) {
    answer_error(behaviour_);
    return;
  }
  if (behaviour_.garbage != Garbage::none && status == 200) {
    answer_garbage(false);
    return;
  }
  due_ns_ += wait_ns;
  pump();
}

void UpstreamConnection::answer_chat(const Request& request) {
  ChatRequest chat = parse_chat_request(request.body);
  begin_call(server_.script().next({Route::chat, chat.last_content, chat.last_is_tool}));
  state_ = State::waiting_plain;
  if (behaviour_.never_answer) return;
  if (behaviour_.status != 200) {
    answer_error(behaviour_);
    return;
  }
  if (behaviour_.garbage != Garbage::none) {
    answer_garbage(chat.stream);
    return;
  }
  ChatReply reply(chat, behaviour_, server_.settings(), server_.vocabulary(),
                  server_.stats().requests);
  if (chat.stream) {
    begin_stream(std::move(reply));
    return;
  }
  server_.stats().tokens += reply.token_count();
  const bool fails = behaviour_.error_in_stream;
  answer_call(fails ? 500 : 200,
              fails
                  ? error_envelope(behaviour_.error_message.value_or("the simulated model failed"),
                                   "server_error", "simulated_error")
                  : reply.plain_body(),
              "application/json", reply.plain_wait_ns());
}

void UpstreamConnection::answer_error(const Behaviour& behaviour) {
  const int status = behaviour.status;
  const std::string message =
      behaviour.error_message.value_or(fmt::format("simulated status {}", status));
  answer_call(status, error_envelope(message, error_type_of(status), "simulated_error"),
              "application/json", ms_to_ns(behaviour.first_token_ms.value_or(0)));
}

void UpstreamConnection::answer_garbage(bool stream) {
  const std::string bytes = garbage_bytes(server_.settings().seed);
  const bool not_http = behaviour_.garbage == Garbage::http;
  behaviour_.garbage = Garbage::none;
  if (not_http) {
    out_ += bytes;
    keep_alive_ = false;
    end_answer();
    return;
  }
  answer_call(200, bytes, stream ? "text/event-stream" : "application/json", 0);
}

void UpstreamConnection::begin_stream(ChatReply reply) {
  reply_.emplace(std::move(reply));
  state_ = State::streaming;
  wait_drawn_ = true;  // of the first event, which is due when the head is
  body_chunked_ = chunked_;
  if (!chunked_) keep_alive_ = false;
  pump();
}

void UpstreamConnection::pump() {
  if (dropped_) return;
  if (!flush()) return;
  if (unsent() > 0) return;  // the socket's becoming writable calls again
  switch (state_) {
    case State::idle:
      serve_buffered();
      break;
    case State::waiting_plain:
      if (behaviour_.never_answer) break;
      if (due_ns_ > now_ns()) {
        timer_.set(due_ns_);
      } else {
        send_plain();
      }
      break;
    case State::streaming:
      pump_stream();
      break;
    case State::ending:
      end_connection();
      break;
  }
}

void UpstreamConnection::pump_stream() {
  size_t turn_bytes = 0;
  int64_t now = now_ns();
  std::string& event = event_buffer();
  while (true) {
    if (!send_split()) return;
    if (cut_reached_ || (stream_over_ && unsplit_.empty())) {
      end_answer();
      return;
    }
    if (!wait_drawn_) {
      const int64_t wait_ns = reply_->wait_ns();
      wait_drawn_ = true;
      due_ns_ = wait_ns == ChatReply::kNever ? ChatReply::kNever : due_ns_ + wait_ns;
    }
    if (due_ns_ > now) {
      if (!flush()) return;
      if (due_ns_ != ChatReply::kNever) timer_.set(due_ns_);
      return;
    }
    if (!head_sent_) {
      head_sent_ = true;
      put_head(200, "text/event-stream; charset=utf-8", std::nullopt);
    }
    event.clear();
    server_.stats().tokens += reply_->append_next(event, now);
    wait_drawn_ = false;
    stream_over_ = reply_->done();
    put_body(event);
    if (unsent() < kWriteBytes) continue;
    turn_bytes += unsent();
    if (!flush() || unsent() > 0) return;
    now = now_ns();
    if (turn_bytes >= kTurnBytes) {
      timer_.set(now);
      return;
    }
  }
}

void UpstreamConnection::send_plain() {
  if (!head_sent_) {
    head_sent_ = true;
    put_head(plain_status_, plain_type_, plain_body_.size());
    if (behaviour_.stall_after_tokens) {
      // Half an answer, then silence.
      behaviour_.never_answer = !behaviour_.stall_ms;
      due_ns_ = now_ns() + ms_to_ns(behaviour_.stall_ms.value_or(0));
      behaviour_.stall_after_tokens.reset();
      const size_t half = plain_body_.size() / 2;
      put_body(std::string_view(plain_body_).substr(0, half));
      plain_body_.erase(0, half);
      pump();
      return;
    }
  }
  put_body(plain_body_);
  plain_body_.clear();
  stream_over_ = true;
  if (send_split()) end_answer();
}

/// Sends what put_body() held back to be split; false while there is more to wait for.
bool UpstreamConnection::send_split() {
  while (!unsplit_.empty() && !cut_reached_) {
    if (due_ns_ != ChatReply::kNever && due_ns_ > now_ns() && unsplit_sent_ > 0) {
      timer_.set(due_ns_);
      return false;
    }
    const std::string_view rest = std::string_view(unsplit_).substr(unsplit_sent_);
    const std::string_view piece = rest.substr(0, behaviour_.split_bytes);
    put_piece(piece);
    unsplit_sent_ += piece.size();
    if (unsplit_sent_ == unsplit_.size()) {
      unsplit_.clear();
      unsplit_sent_ = 0;
    }
    if (!flush() || unsent() > 0) return false;
    if (behaviour_.split_ms > 0) due_ns_ = now_ns() + ms_to_ns(behaviour_.split_ms);
  }
  return true;
}

void UpstreamConnection::put_head(int status, std::string_view type, std::optional<size_t> length) {
  fmt::format_to(std::back_inserter(out_), "HTTP/1.1 {} {}\r\ncontent-type: {}\r\n", status,
                 reason_of(status), type);
  if (call_active_) {
    fmt::format_to(std::back_inserter(out_), "x-request-id: req-{}\r\n", server_.stats().requests);
  }
  if (behaviour_.retry_after_s) {
    fmt::format_to(std::back_inserter(out_), "retry-after: {:g}\r\n", *behaviour_.retry_after_s);
  }
  if (length) {
    fmt::format_to(std::back_inserter(out_), "content-length: {}\r\n", *length);
  } else if (chunked_) {
    out_ += "cache-control: no-cache\r\ntransfer-encoding: chunked\r\n";
  }
  if (!keep_alive_) out_ += "connection: close\r\n";
  out_ += "\r\n";
  if (behaviour_.cut_at_byte == 0u) cut_reached_ = true;
}

void UpstreamConnection::put_body(std::string_view bytes) {
  if (behaviour_.split_bytes > 0) {
    unsplit_.append(bytes);
  } else {
    put_piece(bytes);
  }
}

void UpstreamConnection::put_piece(std::string_view bytes) {
  if (bytes.empty() || cut_reached_) return;
  if (body_chunked_) fmt::format_to(std::back_inserter(out_), "{:x}\r\n", bytes.size());
  if (behaviour_.cut_at_byte && body_bytes_ + bytes.size() >= *behaviour_.cut_at_byte) {
    bytes = bytes.substr(0, *behaviour_.cut_at_byte - body_bytes_);
    cut_reached_ = true;
  }
  body_bytes_ += bytes.size();
  out_.append(bytes);
  if (body_chunked_ && !cut_reached_) out_ += "\r\n";
}

void UpstreamConnection::end_answer() {
  if (body_chunked_ && !cut_reached_) out_ += "0\r\n\r\n";
  body_chunked_ = false;
  if (call_active_) {
    call_active_ = false;
    --server_.stats().active;
    ++server_.stats().completed;
  }
  reply_.reset();
  timer_.cancel();
  state_ = cut_reached_ || !keep_alive_ ? State::ending : State::idle;
  if (!flush() || unsent() > 0) return;
  if (state_ == State::ending) {
    end_connection();
  } else if (in_taken_ < in_.size()) {
    timer_.set(now_ns());  // the next request was sent ahead
  }
}

/// Closes once the kernel has handed everything over: a reset would throw away what is still on its
/// way.
void UpstreamConnection::end_connection() {
  int left = 0;
  if (behaviour_.reset && ::ioctl(socket_.get(), SIOCOUTQ, &left) == 0 && left > 0) {
    timer_.set(now_ns() + kNsPerMs);
    return;
  }
  close_now(behaviour_.reset);
}

// --------------------------------------------------------------------------------------- output

/// Writes what it can; false when the connection is gone.
bool UpstreamConnection::flush() {
  while (unsent() > 0) {
    const ssize_t count = ::send(socket_.get(), out_.data() + out_sent_, unsent(), MSG_NOSIGNAL);
    if (count > 0) {
      out_sent_ += static_cast<size_t>(count);
      server_.stats().bytes += static_cast<uint64_t>(count);
    } else if (errno == EAGAIN) {
      watch_writable(true);
      return true;
    } else if (errno != EINTR) {
      drop();
      return false;
    }
  }
  out_.clear();
  out_sent_ = 0;
  watch_writable(false);
  return true;
}

void UpstreamConnection::watch_writable(bool wanted) {
  if (watching_writable_ == wanted) return;
  watching_writable_ = wanted;
  server_.loop().change(socket_.get(), wanted ? EPOLLIN | EPOLLOUT : EPOLLIN, this);
}

void UpstreamConnection::close_now(bool reset) {
  if (reset) {
    const linger abort{1, 0};
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &abort, sizeof(abort));
  }
  drop();
}

void UpstreamConnection::drop() {
  if (dropped_) return;
  dropped_ = true;
  if (call_active_) {
    call_active_ = false;
    --server_.stats().active;
    ++server_.stats().cancelled;
  }
  timer_.cancel();
  server_.loop().remove(socket_.get());
  socket_.reset();
  server_.drop(*this);
}

}  // namespace parlance::benchmarks
