#include "net/http_connection.h"

#include <algorithm>
#include <functional>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/read.hpp>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/metrics.h"
#include "base/random.h"
#include "net/body_stream.h"
#include "net/http_endpoints.h"
#include "net/http_incoming.h"
#include "net/kiss_actions.h"
#include "net/message_actions.h"
#include "net/websocket_handshake.h"

namespace parlance::net {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;
using dialects::Problem;

/// Operations give their error as a value; nothing throws on the way.
constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kReadAheadBytes = 4 << 10;
constexpr std::size_t kLingerBytesMax = 4 << 20;
constexpr std::size_t kWriteBytes = 64 << 10;
/// Of a form beside the recording in it.
constexpr std::size_t kFormBytesMax = 64 << 10;
/// A body that has a time limit for each part of it.
constexpr std::size_t kTimedPartBytes = 1 << 20;
constexpr std::size_t kSocketReadBytes = 64 << 10;
/// Of a body that is written to a file; one read of the socket more is in memory at most.
constexpr std::size_t kSpooledPieceBytes = 128 << 10;

/// What a client may call its own request: 1 to 64 of what is safe in logs and headers.
bool sane_request_id(std::string_view id) {
  return !id.empty() && id.size() <= 64 && std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '~' || c == '-' || c == ':';
  });
}

/// Whether a request of `method` may change something; the route table knows no other methods.
bool changes_state(std::string_view method) {
  return method != "GET" && method != "HEAD";
}

bool is_open(Endpoint endpoint) {
  return endpoint == Endpoint::health || endpoint == Endpoint::readiness;
}

/// Pages, which hold nothing of anybody.
bool is_page(Endpoint endpoint) {
  return endpoint == Endpoint::chat_page || endpoint == Endpoint::console_page ||
         endpoint == Endpoint::asset;
}

/// Those that want the access token of a KISS client, not an API key.
bool wants_access_token(Endpoint endpoint) {
  return endpoint == Endpoint::kiss_sessions || endpoint == Endpoint::kiss_delete ||
         endpoint == Endpoint::kiss_queries || endpoint == Endpoint::kiss_documents ||
         endpoint == Endpoint::kiss_passage;
}

/// Those that want the key of the operator's console, and no other.
bool wants_console_key(Endpoint endpoint) {
  return endpoint == Endpoint::console_state || endpoint == Endpoint::console_events ||
         endpoint == Endpoint::console_history || endpoint == Endpoint::console_log ||
         endpoint == Endpoint::console_stop;
}

bool wants_api_key(Endpoint endpoint) {
  return !is_open(endpoint) && !is_page(endpoint) && !wants_access_token(endpoint) &&
         !wants_console_key(endpoint) && endpoint != Endpoint::kiss_auth &&
         endpoint != Endpoint::kiss_socket;
}

bool names_chat(Endpoint endpoint) {
  return endpoint == Endpoint::history || endpoint == Endpoint::chat_socket ||
         endpoint == Endpoint::chat_events || endpoint == Endpoint::chat_messages ||
         endpoint == Endpoint::chat_cancel || endpoint == Endpoint::chat_delete ||
         endpoint == Endpoint::console_log || endpoint == Endpoint::console_stop;
}

/// Headers that mean one thing. Where one comes twice, a proxy in front may have gone by the other.
constexpr std::string_view kGivenOnce[] = {"Authorization", "Idempotency-Key", "Last-Event-ID"};

/// The values of a header that is a list, which may come in several lines.
std::string all_lines(const http::fields& header, http::field name) {
  std::string out;
  const auto lines = header.equal_range(name);
  for (auto line = lines.first; line != lines.second; ++line) {
    if (!out.empty()) out += ',';
    out += text(line->value());
  }
  return out;
}

/// True for `media_type`, with or without parameters.
bool is_type(std::string_view content_type, std::string_view media_type) {
  content_type = content_type.substr(0, content_type.find(';'));
  while (content_type.ends_with(' ')) content_type.remove_suffix(1);
  return boost::beast::iequals({content_type.data(), content_type.size()},
                               {media_type.data(), media_type.size()});
}

/// Whether what was `read` begins with a request line that is well-formed but for a version of HTTP
/// that is not spoken here. Beast has one error for that and for all that is wrong behind a target.
bool asks_for_other_version(std::string_view read) {
  std::string_view line = read.substr(0, read.find('\n'));
  // Beast does not wait for the end of a line whose version it does not know.
  if (line.size() < read.size() && !line.ends_with('\r')) return false;
  if (line.ends_with('\r')) line.remove_suffix(1);
  for (int word = 0; word < 2; ++word) {
    const std::size_t space = line.find(' ');
    if (space == std::string_view::npos || space == 0) return false;
    line.remove_prefix(space + 1);
  }
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  return line.size() == 8 && line.starts_with("HTTP/") && is_digit(line[5]) && line[6] == '.' &&
         is_digit(line[7]) && line != "HTTP/1.1" && line != "HTTP/1.0";
}

Problem problem_with_reading(const error_code& error, std::string_view read,
                             const Options& options) {
  if (error == http::error::header_limit) {
    return {.status = 431,
            .detail = fmt::format("the header is over {} bytes", options.header_bytes_max)};
  }
  if (error == http::error::bad_version) {
    if (asks_for_other_version(read)) return {.status = 505, .detail = "HTTP/1.1 is spoken here"};
    return {.status = 400,
            .detail =
                "the request line is malformed: it must be a method, a target without spaces and "
                "HTTP/1.1, one space between them, ended by CR LF"};
  }
  return {.status = 400, .detail = "the request is malformed: " + error.message()};
}

std::size_t body_bytes_max(Endpoint endpoint, const Options& options) {
  if (endpoint == Endpoint::kiss_documents) return options.documents_bytes_max;
  if (endpoint == Endpoint::message_voice) return options.audio_bytes_max + kFormBytesMax;
  return options.body_bytes_max;
}

Problem too_long_a_body(Endpoint endpoint, const Options& options) {
  if (endpoint == Endpoint::message_voice) {
    return {.status = 413,
            .detail = fmt::format("the form is too long: a recording may have {} bytes "
                                  "(limits.audio_bytes_max), and what is around it {} more",
                                  options.audio_bytes_max, kFormBytesMax)};
  }
  return {.status = 413,
          .detail = fmt::format(
              "the body is over {} bytes (limits.{})", body_bytes_max(endpoint, options),
              endpoint == Endpoint::kiss_documents ? "documents_bytes_max" : "body_bytes_max")};
}

Problem too_many_documents() {
  Problem problem{.status = 503, .detail = "too many documents are being read; try again later"};
  problem.retry_after = std::chrono::seconds(1);
  return problem;
}

Problem too_many_uploads(const Options& options) {
  Problem problem{.status = 503,
                  .detail = fmt::format("{} voice messages are being taken in, which is the most "
                                        "at once (limits.uploads_max); try again later",
                                        options.uploads_max)};
  problem.retry_after = std::chrono::seconds(1);
  return problem;
}

HttpResponse preflight() {
  HttpResponse response{.content_type = "text/plain"};
  response.headers.emplace_back("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, DELETE");
  response.headers.emplace_back(
      "Access-Control-Allow-Headers",
      "Authorization, Content-Type, Idempotency-Key, If-Match, If-Range, Last-Event-ID, Range, "
      "X-Request-Id");
  response.headers.emplace_back("Access-Control-Max-Age", "600");
  return response;
}

/// True when the peer sends no more, also where bytes it sent before are still unread. One that
/// only closed its sending half counts as gone: the two look the same.
bool peer_has_closed(int fd) {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return false;
  return info.tcpi_state != TCP_ESTABLISHED;
}

void log_end(const std::exception_ptr& thrown) {
  if (!thrown) return;
  try {
    std::rethrow_exception(thrown);
  } catch (const std::exception& error) {
    log::warn("connection failed reason={}", log::value(error.what()));
  }
}

}  // namespace

void serve_http(Core& core, UniqueFd fd, ConnectionPermit permit) {
  const auto connection = std::make_shared<HttpConnection>(core, std::move(fd), std::move(permit));
  asio::co_spawn(core.io(), connection->run(),
                 [connection](const std::exception_ptr& thrown) { log_end(thrown); });
}

void refuse_http(Core& core, UniqueFd fd) {
  const auto connection = std::make_shared<HttpConnection>(core, std::move(fd), ConnectionPermit());
  asio::co_spawn(core.io(), connection->run_refusal(),
                 [connection](const std::exception_ptr& thrown) { log_end(thrown); });
}

HttpConnection::HttpConnection(Core& core, UniqueFd fd, ConnectionPermit permit)
    : core_(core.shared_from_this()),
      permit_(std::move(permit)),
      socket_(core.io()),
      buffer_(core.options().header_bytes_max + (64 << 10)) {
  error_code error;
  socket_.assign(asio::ip::tcp::v4(), fd.get(), error);
  if (!error) fd.release();
  core_->enter(*this);
}

HttpConnection::~HttpConnection() {
  core_->leave(*this);
}

void HttpConnection::on_sweep() {
  if (on_leave_ && peer_has_closed(socket_.native_handle())) std::exchange(on_leave_, nullptr)();
  if (deadline_ == 0 || core_->now() < deadline_) return;
  timed_out_ = true;
  deadline_ = 0;
  error_code ignored;
  socket_.cancel(ignored);
}

void HttpConnection::drain() {
  error_code ignored;
  if (idle_) socket_.cancel(ignored);
}

void HttpConnection::abort() {
  error_code ignored;
  socket_.close(ignored);
}

asio::awaitable<void> HttpConnection::run() {
  while (socket_.is_open()) {
    if (!co_await serve_one()) break;
  }
  error_code ignored;
  socket_.close(ignored);
  permit_.release();
}

asio::awaitable<void> HttpConnection::run_refusal() {
  idle_ = false;
  request_id_ = random_hex(8);
  Problem problem{.status = 503, .detail = "too many connections; try again later"};
  problem.retry_after = std::chrono::seconds(5);
  if (co_await write(to_wire(to_response(problem, request_id_), request_id_, false, false))) {
    co_await linger(kLingerBytesMax);
  }
  error_code ignored;
  socket_.close(ignored);
  --core_->shared().refusals;
}

HttpResponse HttpConnection::refuse(int status, std::string detail) {
  return to_response(Problem{.status = status, .detail = std::move(detail)}, request_id_);
}

/// For what leaves in doubt where the next request begins.
HttpResponse HttpConnection::refuse_and_close(std::string detail) {
  HttpResponse response = refuse(400, std::move(detail));
  response.close = true;
  return response;
}

// ---- Reading one request ----

asio::awaitable<bool> HttpConnection::await_first_byte() {
  if (core_->draining()) co_return false;
  buffer_.shrink_to_fit();  // One that waits holds no buffer.
  expire_in(core_->options().keep_alive_timeout);
  const auto [error] = co_await socket_.async_wait(socket_.wait_read, kAwait);
  deadline_ = 0;
  co_return !error;
}

asio::awaitable<bool> HttpConnection::read_request(Incoming& incoming) {
  timed_out_ = false;
  expire_in(core_->options().header_timeout);
  const auto [error, got] =
      co_await http::async_read_header(socket_, buffer_, incoming.parser, kAwait);
  deadline_ = 0;
  if (!error) co_return true;
  if (timed_out_) {
    incoming.refusal = refuse(408, "the header took too long to arrive");
  } else if (error.category() == http::make_error_code(http::error::bad_method).category() &&
             error != http::error::end_of_stream && error != http::error::partial_message) {
    incoming.refusal =
        to_response(problem_with_reading(error, text(buffer_), core_->options()), request_id_);
  }
  co_return false;
}

asio::awaitable<bool> HttpConnection::read_body(Incoming& incoming) {
  const bool spooled = incoming.request.spooled != nullptr;
  if (spooled && !co_await open_spool(incoming)) co_return false;
  timed_out_ = false;
  expire_in(core_->options().body_timeout);
  if (!incoming.parser.is_done() &&
      has_token(incoming.header(http::field::expect), "100-continue") && buffer_.size() == 0) {
    if (!co_await write("HTTP/1.1 100 Continue\r\n\r\n")) co_return false;
    expire_in(core_->options().body_timeout);
  }
  if (spooled) {
    co_return co_await read_spooled(incoming);
  } else if (incoming.request.route.endpoint == Endpoint::kiss_documents) {
    if (!co_await read_documents(incoming)) co_return false;
  } else {
    const auto [error, got] = co_await http::async_read(socket_, buffer_, incoming.parser, kAwait);
    deadline_ = 0;
    if (error) co_return body_failed(incoming, error);
  }
  incoming.request.body = std::move(incoming.parser.get().body().bytes);
  co_return true;
}

/// Part by part: each has its time, and what the whole holds of the core's memory is counted.
asio::awaitable<bool> HttpConnection::read_documents(Incoming& incoming) {
  std::size_t timed = 0;
  const std::string& body = incoming.parser.get().body().bytes;
  while (!incoming.parser.is_done()) {
    const auto [error, got] =
        co_await http::async_read_some(socket_, buffer_, incoming.parser, kAwait);
    if (error) {
      deadline_ = 0;
      co_return body_failed(incoming, error);
    }
    if (!incoming.held.grow_to(body.capacity())) {
      deadline_ = 0;
      incoming.refusal = to_response(too_many_documents(), request_id_);
      co_return false;
    }
    if (body.size() < timed + kTimedPartBytes) continue;
    timed = body.size();
    expire_in(core_->options().body_timeout);
  }
  deadline_ = 0;
  co_return true;
}

asio::awaitable<bool> HttpConnection::open_spool(Incoming& incoming) {
  incoming.parser.get().body().emptied = true;
  const Status opened = co_await incoming.request.spooled->open();
  if (opened) co_return true;
  incoming.refusal = to_response(dialects::to_problem(opened.error()), request_id_);
  co_return false;
}

/// Part by part: each has its time, in which that of the disk does not count.
asio::awaitable<bool> HttpConnection::read_spooled(Incoming& incoming) {
  std::uint64_t timed = 0;
  const std::string& body = incoming.parser.get().body().bytes;
  const SpooledBody& spooled = *incoming.request.spooled;
  buffer_.reserve(kSocketReadBytes);  // Or Beast reads by what room there happens to be: little.
  while (!incoming.parser.is_done()) {
    const auto [error, got] =
        co_await http::async_read_some(socket_, buffer_, incoming.parser, kAwait);
    if (error || timed_out_) {
      deadline_ = 0;
      co_return body_failed(incoming, error);
    }
    if (spooled.bytes() + body.size() >= timed + kTimedPartBytes) {
      timed = spooled.bytes() + body.size();
      expire_in(core_->options().body_timeout);
    }
    if (body.size() >= kSpooledPieceBytes && !co_await spool(incoming)) co_return false;
  }
  deadline_ = 0;
  co_return co_await spool(incoming);
}

/// Writes what is in memory of the body.
asio::awaitable<bool> HttpConnection::spool(Incoming& incoming) {
  const Tick left = deadline_ == 0 ? 0 : deadline_ - core_->now();
  deadline_ = 0;
  const Status written =
      co_await incoming.request.spooled->append(incoming.parser.get().body().bytes);
  if (!written) {
    incoming.refusal = to_response(dialects::to_problem(written.error()), request_id_);
    co_return false;
  }
  if (left != 0) deadline_ = core_->now() + left;
  co_return true;
}

/// Sets the refusal, where there is one; always false.
bool HttpConnection::body_failed(Incoming& incoming, const error_code& error) {
  if (error == http::error::body_limit) {
    incoming.refusal = to_response(
        too_long_a_body(incoming.request.route.endpoint, core_->options()), request_id_);
  } else if (timed_out_) {
    incoming.refusal = refuse(408, "the body took too long to arrive");
  } else if (error.category() == http::make_error_code(http::error::bad_method).category() &&
             error != http::error::partial_message) {
    incoming.refusal =
        to_response(problem_with_reading(error, text(buffer_), core_->options()), request_id_);
  }
  return false;
}

/// What can be refused by the header alone.
std::optional<HttpResponse> HttpConnection::check(Incoming& incoming) {
  const auto& header = incoming.parser.get();
  if (const std::string_view id = text(header["X-Request-Id"]); sane_request_id(id)) {
    request_id_ = id;
  }
  incoming.request.id = request_id_;
  incoming.request.method = text(header.method_string());
  const std::size_t hosts = header.count(http::field::host);
  if (hosts > 1 || (hosts == 0 && header.version() >= 11)) {
    return refuse_and_close("exactly one Host header is needed");
  }
  if (header.count(http::field::transfer_encoding) > 0 &&
      (!incoming.parser.chunked() || header.version() < 11 ||
       !boost::beast::iequals(header[http::field::transfer_encoding], "chunked"))) {
    return refuse_and_close("the only transfer coding understood is chunked");
  }
  const std::string_view expect = incoming.header(http::field::expect);
  if (!expect.empty() && !has_token(expect, "100-continue")) {
    return refuse(417, "the only expectation understood is 100-continue");
  }
  for (const std::string_view name : kGivenOnce) {
    if (header.count({name.data(), name.size()}) > 1) {
      return refuse(400, fmt::format("{} is given more than once; send it once", name));
    }
  }
  Result<RequestTarget> target = parse_target(text(header.target()));
  if (!target) return to_response(dialects::to_problem(target.error()), request_id_);
  incoming.request.target = std::move(*target);
  return check_route(incoming);
}

std::optional<HttpResponse> HttpConnection::check_route(Incoming& incoming) {
  HttpRequest& request = incoming.request;
  if (request.method == "OPTIONS" &&
      !incoming.header(http::field::access_control_request_method).empty()) {
    return preflight();  // A browser asks before it lets a page send; allow_origin() answers it.
  }
  auto found = find_route(request.method, request.target);
  if (std::get_if<PathUnknown>(&found) != nullptr) return refuse(404, "there is nothing here");
  if (const auto* refused = std::get_if<MethodNotAllowed>(&found)) {
    HttpResponse response = refuse(405, fmt::format("allowed here: {}", refused->allow));
    response.headers.emplace_back("Allow", refused->allow);
    return response;
  }
  request.route = std::get<Route>(std::move(found));
  const std::string accept = all_lines(incoming.parser.get(), http::field::accept);
  if (request.route.endpoint == Endpoint::about && accepts(accept, "text/html")) {
    request.route.endpoint = Endpoint::chat_page;
  }
  const Endpoint endpoint = request.route.endpoint;

  const Authentication& authentication = core_->shared().authentication;
  if (!is_open(endpoint) && !authentication.admits_host(incoming.header(http::field::host))) {
    return refuse(403,
                  "this Host is not served: without API keys only localhost, 127.0.0.0/8, [::1] "
                  "and the hosts of allowed_origins are; use one of these or set api_keys");
  }
  if (std::optional<HttpResponse> refused = check_credentials(incoming)) return refused;
  if ((is_websocket(endpoint) || changes_state(request.method)) &&
      !authentication.admits_origin(incoming.header(http::field::origin),
                                    incoming.header(http::field::host))) {
    return refuse(403,
                  "pages of this origin may not do this: only those of this host and port, and "
                  "those of the origins listed in allowed_origins");
  }
  if (names_chat(endpoint) && !valid_session_id(request.route.name)) {
    return refuse(400, "chat_id must be 1 to 128 of A-Z a-z 0-9 . _ ~ - and neither . nor ..");
  }
  if (std::optional<HttpResponse> refused = check_type(incoming)) return refused;
  request.idempotency_key = text(incoming.parser.get()["Idempotency-Key"]);
  request.accept_encoding = incoming.header(http::field::accept_encoding);
  request.if_none_match = incoming.header(http::field::if_none_match);
  request.if_match = all_lines(incoming.parser.get(), http::field::if_match);
  request.wants_events = accepts(accept, "text/event-stream");
  request.wants_json = accepts(accept, "application/json");
  request.range = incoming.header(http::field::range);
  request.if_range = incoming.header(http::field::if_range);
  return check_body(incoming);
}

std::optional<HttpResponse> HttpConnection::check_credentials(Incoming& incoming) {
  const Endpoint endpoint = incoming.request.route.endpoint;
  const std::string_view authorization = incoming.header(http::field::authorization);
  if (wants_access_token(endpoint)) {
    const std::string_view token = bearer_token(authorization);
    if (token.empty()) {
      return refuse(401,
                    "an access token is needed: Authorization: Bearer <access_token of /auth>");
    }
    Result<Bearer> bearer = read_access_token(core_->shared(), token);
    if (!bearer) return to_response(dialects::to_problem(bearer.error()), request_id_);
    incoming.request.client = std::move(bearer->client);
    return std::nullopt;
  }
  if (wants_console_key(endpoint)) {
    const Authentication& authentication = core_->shared().authentication;
    if (!authentication.has_console()) {
      return refuse(403,
                    "the console has no key: give one as console.key or console.key_file in the "
                    "configuration, or as PARLANCE_CONSOLE_KEY in the environment");
    }
    if (authentication.admits_console(authorization)) return std::nullopt;
    if (!bearer_token(authorization).empty()) metrics::get().console_refused.add();
    return refuse(401, "the console's key is needed: Authorization: Bearer <console key>");
  }
  const std::string_view protocols = is_websocket(endpoint)
                                         ? incoming.header(http::field::sec_websocket_protocol)
                                         : std::string_view();
  if (wants_api_key(endpoint) && !core_->shared().authentication.admits(authorization, protocols)) {
    return refuse(401, "an API key is needed: Authorization: Bearer <key>");
  }
  return std::nullopt;
}

std::optional<HttpResponse> HttpConnection::check_type(const Incoming& incoming) {
  if (!changes_state(incoming.request.method)) return std::nullopt;
  const std::string_view type = incoming.header(http::field::content_type);
  if (incoming.request.route.endpoint == Endpoint::message_voice) {
    if (is_type(type, "multipart/form-data")) return std::nullopt;
    return refuse(415, "the body must be multipart/form-data, with the recording in it");
  }
  if (type.empty() || is_type(type, "application/json")) return std::nullopt;
  return refuse(415, "the body must be application/json");
}

/// The body's limits, of which its length tells before it is read.
std::optional<HttpResponse> HttpConnection::check_body(Incoming& incoming) {
  const Endpoint endpoint = incoming.request.route.endpoint;
  const std::size_t bytes_max = body_bytes_max(endpoint, core_->options());
  incoming.parser.body_limit(bytes_max);
  const auto length = incoming.parser.content_length();
  if (length && *length > bytes_max) {
    return to_response(too_long_a_body(endpoint, core_->options()), request_id_);
  }
  if (endpoint == Endpoint::message_voice) {
    incoming.request.content_type = incoming.header(http::field::content_type);
    incoming.request.spooled = SpooledBody::make(*core_);
    if (incoming.request.spooled != nullptr) return std::nullopt;
    return to_response(too_many_uploads(core_->options()), request_id_);
  }
  if (!length) return std::nullopt;
  if (endpoint == Endpoint::kiss_documents &&
      !incoming.held.grow_to(static_cast<std::size_t>(*length))) {
    return to_response(too_many_documents(), request_id_);
  }
  return std::nullopt;
}

// ---- Serving ----

asio::awaitable<bool> HttpConnection::serve_one() {
  idle_ = true;
  if (buffer_.size() == 0 && !co_await await_first_byte()) co_return false;
  idle_ = false;
  request_id_ = random_hex(8);
  Incoming incoming(*core_);

  std::optional<HttpResponse> response;
  bool readable = co_await read_request(incoming);
  if (readable) {
    metrics::get().http_requests.add();
    response = check(incoming);
    const Endpoint endpoint = incoming.request.route.endpoint;
    const bool head = incoming.request.method == "HEAD";
    if (!response && (endpoint == Endpoint::chat_socket || endpoint == Endpoint::chat_events ||
                      endpoint == Endpoint::console_events)) {
      if (head) {
        response = HttpResponse{.content_type = "text/event-stream; charset=utf-8"};
      } else {
        response = endpoint == Endpoint::console_events ? open_console_stream(incoming)
                                                        : open_stream(incoming);
        if (!response) co_return false;
      }
    }
    if (!response && endpoint == Endpoint::kiss_socket) {
      response = co_await open_kiss_socket(incoming);
      if (!response) co_return false;
    }
    if (!response) {
      readable = co_await read_body(incoming);
      if (readable && streams_message(incoming.request)) {
        response = co_await open_message_stream(incoming);
        if (!response) co_return false;
      } else if (readable) {
        response = co_await answer_while_wanted(incoming.request);
      }
      incoming.held.release();
    }
  }
  if (!readable) {
    if (!incoming.refusal) co_return false;
    response = std::move(incoming.refusal);
  }

  if (response->status >= 400 && response->status < 500) metrics::get().input_refused.add();
  const bool chunked = incoming.parser.get().version() >= 11;
  response->chunked = chunked;
  // Without chunks only the end of the connection tells where the body ends.
  const bool endless = response->stream && !response->stream->length() && !chunked;
  const bool keep_alive = readable && !response->close && !endless && incoming.parser.is_done() &&
                          incoming.parser.get().keep_alive() && !core_->draining();
  incoming.request.spooled.reset();  // Not held while a refused client is waited for.
  log_answer(incoming, *response);
  allow_origin(incoming, *response);
  const bool head_only = incoming.request.method == "HEAD";
  const std::shared_ptr<void> until_written = std::move(response->until_written);
  const std::shared_ptr<BodyStream> stream = response->stream;
  if (!co_await write(to_wire(std::move(*response), request_id_, keep_alive, head_only))) {
    co_return false;
  }
  // A body that broke off must look so: the connection ends without the rest.
  if (stream && !head_only && !co_await write_stream(*stream, chunked)) co_return false;
  if (!keep_alive) {
    co_await linger(std::max(kLingerBytesMax,
                             body_bytes_max(incoming.request.route.endpoint, core_->options())));
  }
  co_return keep_alive;
}

/// Where an answer takes long, the endpoint is told when nobody waits for it any more.
asio::awaitable<HttpResponse> HttpConnection::answer_while_wanted(HttpRequest& request) {
  HttpResponse response = co_await answer(*core_, request, on_leave_);
  on_leave_ = nullptr;
  co_return response;
}

void HttpConnection::log_answer(const Incoming& incoming, const HttpResponse& response) const {
  if (!log::enabled(log::Level::debug)) return;
  const std::string_view target = text(incoming.parser.get().target());
  log::debug("request answered id={} method={} path={} status={}", request_id_,
             log::value(incoming.request.method), log::value(target.substr(0, target.find('?'))),
             response.status);
}

/// Lets pages of an admitted origin read the answer (CORS).
void HttpConnection::allow_origin(const Incoming& incoming, HttpResponse& response) const {
  const std::string_view origin = incoming.header(http::field::origin);
  if (origin.empty() ||
      !core_->shared().authentication.admits_origin(origin, incoming.header(http::field::host))) {
    return;
  }
  response.headers.emplace_back("Access-Control-Allow-Origin", origin);
  response.headers.emplace_back(
      "Access-Control-Expose-Headers",
      "Accept-Ranges, Content-Range, ETag, Idempotent-Replayed, Link, Location, Retry-After, "
      "X-Message-Id, X-Request-Id, X-Speech-Engine, X-Transcript-Id");
  response.headers.emplace_back("Vary", "Origin");
}

asio::awaitable<bool> HttpConnection::write(std::string bytes) {
  // The time is for each part: a slow client may take long for all, but not stop.
  for (std::size_t sent = 0; sent < bytes.size();) {
    expire_in(core_->options().write_timeout);
    const auto [error, count] = co_await asio::async_write(
        socket_, asio::buffer(std::string_view(bytes).substr(sent, kWriteBytes)), kAwait);
    deadline_ = 0;
    core_->counts.bytes_sent += count;
    if (error) co_return false;
    sent += count;
  }
  co_return true;
}

asio::awaitable<bool> HttpConnection::write_stream(BodyStream& stream, bool chunked) {
  chunked = chunked && !stream.length();
  for (;;) {
    Result<std::string> piece = co_await stream.next();
    if (!piece) {
      log::debug("an answer broke off id={} why={}", request_id_, log::value(piece.error().detail));
      co_return false;
    }
    const bool last = piece->empty();
    if (chunked) *piece = fmt::format("{:x}\r\n{}\r\n", piece->size(), *piece);
    if (!co_await write(std::move(*piece))) co_return false;
    if (last) co_return true;
  }
}

/// Closes our direction and reads on for a moment: closing at once, with unread bytes, would reset
/// the connection and could take the answer from the client.
asio::awaitable<void> HttpConnection::linger(std::size_t bytes_max) {
  error_code error;
  socket_.shutdown(asio::ip::tcp::socket::shutdown_send, error);
  if (error) co_return;
  expire_in(core_->options().linger_timeout);
  std::size_t total = 0;
  buffer_.consume(buffer_.size());
  while (total < bytes_max && deadline_ != 0) {
    const auto [failed, got] =
        co_await socket_.async_read_some(buffer_.prepare(kReadAheadBytes), kAwait);
    if (failed) break;
    total += got;
  }
  deadline_ = 0;
}

}  // namespace parlance::net
