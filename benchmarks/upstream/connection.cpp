#include "benchmarks/upstream/connection.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>
#include <linux/sockios.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "benchmarks/support/clock.h"
#include "benchmarks/upstream/audio.h"
#include "benchmarks/upstream/canned.h"
#include "benchmarks/upstream/embeddings.h"
#include "benchmarks/upstream/server.h"

namespace parlance::benchmarks {
namespace {

constexpr size_t kReadBytes = 256 << 10;
constexpr size_t kRequestBytesMax = 128u << 20;
constexpr size_t kHeadBytesMax = 64 << 10;
// Of a recording: the form's texts and the file's name.
constexpr size_t kUploadKeptBytes = 4 << 10;
// What is written at once, and what one connection may write before the others get their turn.
constexpr size_t kWriteBytes = 16 << 10;
constexpr size_t kTurnBytes = 64 << 10;

int64_t ms_to_ns(double ms) {
  return static_cast<int64_t>(ms * kNsPerMs);
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
  if (upload_) return take_upload();
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
    if (target == "/v1/audio/transcriptions" || target == "/audio/transcriptions") {
      upload_.emplace(Upload{std::string(request.method),
                             "/audio/transcriptions",
                             std::string(buffer.substr(0, head->bytes)),
                             {},
                             body_bytes,
                             body_bytes});
      in_taken_ += head->bytes;
      return take_upload();
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
  request.body_bytes = request.body.size();
  in_taken_ += head->bytes + body_bytes;
  dispatch(request);
  return true;
}

bool UpstreamConnection::take_upload() {
  const size_t count = std::min(upload_->left, in_.size() - in_taken_);
  const size_t kept = std::min(count, kUploadKeptBytes - upload_->start.size());
  upload_->start.append(in_, in_taken_, kept);
  upload_->left -= count;
  in_taken_ += count;
  if (upload_->left > 0) return false;
  const Upload upload = *std::exchange(upload_, std::nullopt);
  Request request;
  request.method = upload.method;
  request.path = upload.path;
  request.head = upload.head;
  request.body = upload.start;
  request.body_bytes = upload.bytes;
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
                    request.path == "/audio/transcriptions" || request.path == "/audio/speech")) {
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
    answer_embeddings(request);
  } else if (request.path == "/audio/speech") {
    server_.record(Route::speech, request.head, request.body);
    answer_speech(request);
  } else {
    server_.record(Route::transcriptions, request.head,
                   form_summary(request.head, request.body, request.body_bytes));
    answer_transcription(request);
  }
}

void UpstreamConnection::dispatch_control(const Request& request) {
  const std::string_view method = request.method;
  const std::string_view path = request.path;
  const auto asks_for = [&](std::string_view text) {
    return request.query.find(text) != std::string_view::npos;
  };
  if (method == "GET" && path == "/models") {
    answer_now(200, models_body());
  } else if (method == "GET" && path.substr(0, 8) == "/models/") {
    answer_now(200, model_body(path.substr(8)));
  } else if (method == "GET" && path == "/stats") {
    answer_now(200, server_.stats_json());
  } else if (method == "GET" && path == "/requests") {
    Route route = Route::chat;
    for (const std::string_view name : {"embeddings", "transcriptions", "speech"}) {
      if (asks_for(fmt::format("route={}", name))) route = *route_of(name);
    }
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

void UpstreamConnection::answer_now(int status, std::string_view body) {
  behaviour_ = {};
  body_.begin(behaviour_, false);
  put_head(status, "application/json", body.size());
  body_.put(body, out_);
  end_answer();
}

void UpstreamConnection::begin_call(Behaviour behaviour) {
  behaviour_ = std::move(behaviour);
  call_active_ = true;
  ++server_.stats().active;
  head_sent_ = false;
  body_over_ = false;
  if (behaviour_.close) keep_alive_ = false;
  due_ns_ = now_ns() + ms_to_ns(behaviour_.headers_ms);
  state_ = State::waiting_plain;
}

void UpstreamConnection::answer_chat(const Request& request) {
  const ChatRequest chat = parse_chat_request(request.body);
  begin_call(server_.script().next({Route::chat, chat.last_content, chat.last_is_tool}));
  if (answer_fault(chat.stream)) return;
  ChatReply reply(chat, behaviour_, server_.settings(), server_.vocabulary(),
                  server_.stats().requests);
  if (chat.stream) {
    begin_stream(std::move(reply));
    return;
  }
  server_.stats().tokens += reply.token_count();
  if (behaviour_.error_in_stream) {
    // There is no stream for the error to be in.
    behaviour_.status = 500;
    answer_error();
    return;
  }
  answer_plain(200, reply.plain_body(), "application/json", reply.plain_wait_ns());
}

void UpstreamConnection::answer_embeddings(const Request& request) {
  std::string body = embeddings_body(request.body);
  begin_call(server_.script().next({Route::embeddings, request.body, false}));
  if (answer_fault(false)) return;
  answer_plain(200, std::move(body), "application/json",
               ms_to_ns(behaviour_.first_token_ms.value_or(0)));
}

void UpstreamConnection::answer_transcription(const Request& request) {
  begin_call(server_.script().next({Route::transcriptions, request.body, false}));
  if (answer_fault(false)) return;
  std::string text = behaviour_.text.value_or(server_.settings().transcript);
  if (text.empty() && !behaviour_.text) {
    const uint64_t start = server_.vocabulary().start_of(fmt::format("{}", request.body_bytes));
    for (uint64_t i = 0; i < 8; ++i) text += server_.vocabulary().token(start, i);
  }
  answer_plain(200, transcript_body(text), "application/json",
               ms_to_ns(behaviour_.first_token_ms.value_or(server_.settings().transcription_ms)));
}

void UpstreamConnection::answer_speech(const Request& request) {
  check_speech_request(request.body);
  const UpstreamSettings& settings = server_.settings();
  begin_call(server_.script().next({Route::speech, request.body, false}));
  if (answer_fault(false)) return;
  if (behaviour_.split_bytes == 0) {
    behaviour_.split_bytes = settings.speech_piece_bytes;
    behaviour_.split_ms = settings.speech_piece_ms;
  }
  answer_plain(200, silent_mp3(behaviour_.speech_ms.value_or(settings.speech_ms)), "audio/mpeg",
               ms_to_ns(behaviour_.first_token_ms.value_or(settings.speech_wait_ms)));
}

/// Deals with behaviours that say no word of an answer; false when there is one to be given.
bool UpstreamConnection::answer_fault(bool stream) {
  if (behaviour_.never_answer) return true;
  if (behaviour_.status != 200) {
    answer_error();
    return true;
  }
  const std::string bytes = garbage_bytes(server_.settings().seed);
  switch (behaviour_.garbage) {
    case Garbage::none:
      return false;
    case Garbage::body:
      answer_plain(200, bytes, stream ? "text/event-stream" : "application/json", 0);
      return true;
    case Garbage::http:
      out_ += bytes;
      keep_alive_ = false;
      body_.begin(behaviour_, false);
      end_answer();
      return true;
  }
  return false;
}

void UpstreamConnection::answer_error() {
  const int status = behaviour_.status;
  const std::string message =
      behaviour_.error_message.value_or(fmt::format("simulated status {}", status));
  answer_plain(status, error_envelope(message, error_type_of(status), "simulated_error"),
               "application/json", ms_to_ns(behaviour_.first_token_ms.value_or(0)));
}

void UpstreamConnection::answer_plain(int status, std::string body, std::string_view type,
                                      int64_t wait_ns) {
  plain_status_ = status;
  plain_body_ = std::move(body);
  plain_type_ = type;
  due_ns_ += wait_ns;
  pump();
}

void UpstreamConnection::begin_stream(ChatReply reply) {
  reply_.emplace(std::move(reply));
  state_ = State::streaming;
  wait_drawn_ = true;  // of the first event, which is due when the head is
  if (!chunked_) keep_alive_ = false;
  pump();
}

/// Goes on with whatever is under way. Called when something is due and when the socket takes more.
void UpstreamConnection::pump() {
  if (dropped_ || !flush()) return;
  if (unsent() > 0) return;  // the socket's becoming writable calls again
  switch (state_) {
    case State::idle:
      serve_buffered();
      break;
    case State::waiting_plain:
      pump_plain();
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
    if (!send_pieces()) return;
    if (body_.cut_reached() || body_over_) {
      end_answer();
      return;
    }
    if (!wait_drawn_) {
      const int64_t wait_ns = reply_->wait_ns();
      wait_drawn_ = true;
      due_ns_ = wait_ns == ChatReply::kNever ? ChatReply::kNever : due_ns_ + wait_ns;
    }
    if (due_ns_ > now) {
      if (flush()) wait_until_due();
      return;
    }
    if (!head_sent_) {
      head_sent_ = true;
      body_.begin(behaviour_, chunked_);
      put_head(200, "text/event-stream; charset=utf-8", std::nullopt);
    }
    event.clear();
    server_.stats().tokens += reply_->append_next(event, now);
    wait_drawn_ = false;
    body_over_ = reply_->done();
    body_.put(event, out_);
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

void UpstreamConnection::pump_plain() {
  while (true) {
    if (!send_pieces()) return;
    if (body_over_ || (head_sent_ && body_.cut_reached())) {
      end_answer();
      return;
    }
    if (behaviour_.never_answer) return;
    if (due_ns_ > now_ns()) {
      wait_until_due();
      return;
    }
    if (!head_sent_) {
      head_sent_ = true;
      body_.begin(behaviour_, false);
      put_head(plain_status_, plain_type_, plain_body_.size());
      if (behaviour_.stall_after_tokens) {
        // Half an answer, then silence.
        const size_t half = plain_body_.size() / 2;
        body_.put(std::string_view(plain_body_).substr(0, half), out_);
        plain_body_.erase(0, half);
        due_ns_ =
            behaviour_.stall_ms ? now_ns() + ms_to_ns(*behaviour_.stall_ms) : ChatReply::kNever;
        if (!flush() || unsent() > 0) return;
        continue;
      }
    }
    body_.put(plain_body_, out_);
    plain_body_.clear();
    body_over_ = true;
  }
}

/// Sends what is to be sent in pieces; false while there is something to wait for.
bool UpstreamConnection::send_pieces() {
  while (body_.holds_pieces()) {
    if (piece_due_ns_ > now_ns()) {
      timer_.set(piece_due_ns_);
      return false;
    }
    body_.put_piece(out_);
    if (!flush() || unsent() > 0) return false;
    if (behaviour_.split_ms > 0) piece_due_ns_ = now_ns() + ms_to_ns(behaviour_.split_ms);
  }
  return true;
}

void UpstreamConnection::wait_until_due() {
  if (due_ns_ != ChatReply::kNever) timer_.set(due_ns_);
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
}

void UpstreamConnection::end_answer() {
  body_.finish(out_);
  if (call_active_) {
    call_active_ = false;
    --server_.stats().active;
    ++server_.stats().completed;
  }
  reply_.reset();
  timer_.cancel();
  state_ = body_.cut_reached() || !keep_alive_ ? State::ending : State::idle;
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
