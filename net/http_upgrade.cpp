// Requests that become a WebSocket or an event stream.
#include <iterator>
#include <utility>

#include <boost/asio/post.hpp>
#include <fmt/format.h>

#include "net/console_endpoints.h"
#include "net/console_feed.h"
#include "net/console_stream.h"
#include "net/deflate.h"
#include "net/http_connection.h"
#include "net/http_endpoints.h"
#include "net/http_incoming.h"
#include "net/kiss_connection.h"
#include "net/message_stream.h"
#include "net/sse_response.h"
#include "net/websocket_connection.h"
#include "net/websocket_handshake.h"

namespace parlance::net {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;
using dialects::Problem;

/// The options of the stream that `target` asks for.
std::variant<AttachOptions, Problem> attach_options(const RequestTarget& target,
                                                    std::string_view last_event_id) {
  const auto is_on = [&](std::string_view name) {
    const auto value = target.parameter(name);
    return value && (*value == "1" || *value == "true");
  };
  AttachOptions options{.tokens = is_on("tokens"), .acks = is_on("acks")};
  // A browser that reconnects sends the header; the URL still has the old cursor.
  const std::string_view after =
      last_event_id.empty() ? target.parameter("after").value_or("") : last_event_id;
  if (after.empty()) return options;
  options.after = parse_cursor(after);
  if (options.after) return options;
  return Problem{.status = 400, .detail = "the cursor is not one that this server gave"};
}

}  // namespace

/// What is wrong with a request for a socket or a stream.
std::optional<HttpResponse> HttpConnection::check_handshake(Incoming& incoming) {
  if (is_websocket(incoming.request.route.endpoint)) {
    const bool can_upgrade = incoming.parser.get().version() >= 11;
    const auto problem = problem_with_handshake(
        {.upgrade = can_upgrade ? incoming.header(http::field::upgrade) : std::string_view(),
         .connection = incoming.header(http::field::connection),
         .key = incoming.header(http::field::sec_websocket_key),
         .version = incoming.header(http::field::sec_websocket_version)});
    if (problem) {
      HttpResponse response = to_response(*problem, request_id_);
      if (problem->status == 426) {
        response.headers.emplace_back("Upgrade", "websocket");
        response.headers.emplace_back("Sec-WebSocket-Version", "13");
      }
      return response;
    }
  }
  if (!incoming.parser.is_done()) return refuse(400, "this request has no body");
  if (core_->draining()) {
    return to_response(why_not_ready(*core_).value(), request_id_);
  }
  return std::nullopt;
}

/// The 101 answer; `extension` is empty for none.
std::string HttpConnection::handshake_answer(const Incoming& incoming,
                                             std::string_view extension) const {
  std::string answer = wire_head(101, request_id_);
  fmt::format_to(std::back_inserter(answer),
                 "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n",
                 accept_value(incoming.header(http::field::sec_websocket_key)));
  const std::string_view protocol =
      bearer_protocol(incoming.header(http::field::sec_websocket_protocol));
  if (!protocol.empty()) {
    fmt::format_to(std::back_inserter(answer), "Sec-WebSocket-Protocol: {}\r\n", protocol);
  }
  if (!extension.empty()) {
    fmt::format_to(std::back_inserter(answer), "Sec-WebSocket-Extensions: {}\r\n", extension);
  }
  answer += "\r\n";
  return answer;
}

/// Opens /ws, for whom its token names or for nobody yet; or says why not.
asio::awaitable<std::optional<HttpResponse>> HttpConnection::open_kiss_socket(Incoming& incoming) {
  if (auto refused = check_handshake(incoming)) co_return refused;
  const std::string_view authorization = incoming.header(http::field::authorization);
  const std::string_view protocol =
      bearer_protocol(incoming.header(http::field::sec_websocket_protocol));
  std::optional<Bearer> bearer;
  if (!authorization.empty() || !protocol.empty()) {
    const std::string_view token = authorization.empty() ? protocol.substr(kBearerProtocol.size())
                                                         : bearer_token(authorization);
    Result<Bearer> read = read_access_token(core_->shared(), token);
    if (!read) co_return to_response(dialects::to_problem(read.error()), request_id_);
    const Status may = co_await check_client(*core_, read->client);
    if (!may) co_return to_response(dialects::to_problem(may.error()), request_id_);
    bearer = std::move(*read);
  }
  if (core_->draining()) co_return to_response(why_not_ready(*core_).value(), request_id_);
  error_code error;
  std::string answer = handshake_answer(incoming, {});
  open_kiss(*core_, {.fd = UniqueFd(socket_.release(error)),
                     .permit = std::move(permit_),
                     .bearer = std::move(bearer),
                     .answer = std::move(answer),
                     .read_ahead = std::string(text(buffer_))});
  co_return std::nullopt;
}

/// Hands the socket to a stream that tells of the message as it is answered; or says why not.
asio::awaitable<std::optional<HttpResponse>> HttpConnection::open_message_stream(
    Incoming& incoming) {
  auto prepared = co_await prepare_message(*core_, incoming.request);
  if (const auto* problem = std::get_if<Problem>(&prepared)) {
    co_return to_response(*problem, request_id_);
  }
  if (core_->draining()) co_return to_response(why_not_ready(*core_).value(), request_id_);
  HttpResponse cors;
  allow_origin(incoming, cors);
  error_code error;
  net::open_message_stream(*core_, {.fd = UniqueFd(socket_.release(error)),
                                    .permit = std::move(permit_),
                                    .request_id = request_id_,
                                    .headers = std::move(cors.headers),
                                    .message = std::get<PreparedMessage>(std::move(prepared))});
  co_return std::nullopt;
}

/// Status line and headers of a stream of events.
std::string HttpConnection::events_head(const Incoming& incoming) const {
  std::string head = wire_head(200, request_id_);
  head +=
      "Content-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache, "
      "no-transform\r\n"
      "X-Accel-Buffering: no\r\nConnection: close\r\n";
  HttpResponse cors;
  allow_origin(incoming, cors);
  for (const auto& [name, value] : cors.headers) {
    fmt::format_to(std::back_inserter(head), "{}: {}\r\n", name, value);
  }
  head += "\r\n";
  return head;
}

/// Hands the socket to a stream of the console's states; or says why not.
std::optional<HttpResponse> HttpConnection::open_console_stream(Incoming& incoming) {
  if (std::optional<HttpResponse> refused = check_handshake(incoming)) return refused;
  Places::Place place = core_->shared().console->enter();
  if (place == nullptr) return to_response(too_many_consoles(), request_id_);
  std::string head = events_head(incoming);
  error_code error;
  open_console(*core_, {.fd = UniqueFd(socket_.release(error)),
                        .permit = std::move(permit_),
                        .place = std::move(place),
                        .head = std::move(head)});
  return std::nullopt;
}

/// Hands the socket to the session's home core; or says why not.
std::optional<HttpResponse> HttpConnection::open_stream(Incoming& incoming) {
  const HttpRequest& request = incoming.request;
  const bool is_socket = request.route.endpoint == Endpoint::chat_socket;
  if (std::optional<HttpResponse> refused = check_handshake(incoming)) return refused;
  auto options = attach_options(request.target, text(incoming.parser.get()["Last-Event-ID"]));
  if (const auto* problem = std::get_if<Problem>(&options)) {
    return to_response(*problem, request_id_);
  }
  const AttachOptions attach = std::get<AttachOptions>(options);
  SessionId session{request.route.name};
  Core& home = *core_->shared().cores[core_->gateway().home_of(session)];

  if (!is_socket) {
    std::string head = events_head(incoming);
    error_code error;
    SseOpening opening{.fd = UniqueFd(socket_.release(error)),
                       .permit = std::move(permit_),
                       .session = std::move(session),
                       .attach = attach,
                       .head = std::move(head)};
    if (&home == core_.get()) {
      open_events(home, std::move(opening));
    } else {
      asio::post(home.io(),
                 [core = home.shared_from_this(), opening = std::move(opening)]() mutable {
                   open_events(*core, std::move(opening));
                 });
    }
    return std::nullopt;
  }

  std::string extension;
  if (core_->options().permessage_deflate) {
    extension = agree_to_deflate(incoming.header(http::field::sec_websocket_extensions));
  }
  error_code error;
  WebSocketOpening opening{.fd = UniqueFd(socket_.release(error)),
                           .permit = std::move(permit_),
                           .session = std::move(session),
                           .attach = attach,
                           .deflate = !extension.empty(),
                           .answer = handshake_answer(incoming, extension),
                           .read_ahead = std::string(text(buffer_))};
  if (&home == core_.get()) {
    open_websocket(home, std::move(opening));
  } else {
    asio::post(home.io(), [core = home.shared_from_this(), opening = std::move(opening)]() mutable {
      open_websocket(*core, std::move(opening));
    });
  }
  return std::nullopt;
}

}  // namespace parlance::net
