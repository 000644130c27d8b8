#include "net/http_message.h"

#include <ctime>
#include <optional>

#include <fmt/format.h>

#include "net/body_stream.h"
#include "net/header_list.h"

namespace parlance::net {
namespace {

std::string_view reason_of(int status) {
  switch (status) {
    case 101:
      return "Switching Protocols";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 206:
      return "Partial Content";
    case 204:
      return "No Content";
    case 304:
      return "Not Modified";
    default:
      return dialects::title_of(status);
  }
}

/// The value of the Date header, such as "Sun, 06 Nov 1994 08:49:37 GMT".
std::string http_date() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  return fmt::format("{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT", kDays[parts.tm_wday],
                     parts.tm_mday, kMonths[parts.tm_mon], parts.tm_year + 1900, parts.tm_hour,
                     parts.tm_min, parts.tm_sec);
}

void append_length(std::string& out, const HttpResponse& response) {
  std::optional<std::uint64_t> length = response.body.size();
  if (response.stream) length = response.stream->length();
  if (length) {
    fmt::format_to(std::back_inserter(out), "Content-Length: {}\r\n", *length);
  } else if (response.chunked) {
    out += "Transfer-Encoding: chunked\r\n";
  }
}

}  // namespace

HttpResponse to_response(const dialects::Problem& problem, std::string_view request_id) {
  HttpResponse response{.status = problem.status,
                        .content_type = dialects::kProblemType,
                        .body = dialects::to_json(problem, request_id)};
  if (problem.retry_after.count() > 0) {
    response.headers.emplace_back("Retry-After", std::to_string(problem.retry_after.count()));
  }
  if (problem.status == 401) response.headers.emplace_back("WWW-Authenticate", "Bearer");
  return response;
}

HttpResponse no_content() {
  return {.status = 204, .content_type = {}};
}

bool accepts(std::string_view accept, std::string_view media_type) {
  return any_item(accept, [&](std::string_view item) { return wants(item, media_type); });
}

std::string wire_head(int status, std::string_view request_id) {
  return fmt::format("HTTP/1.1 {} {}\r\nServer: parlance\r\nDate: {}\r\nX-Request-Id: {}\r\n",
                     status, reason_of(status), http_date(), request_id);
}

std::string to_wire(HttpResponse response, std::string_view request_id, bool keep_alive,
                    bool head_only) {
  std::string out = wire_head(response.status, request_id);
  // The one has no content and must not say how long that is; the other's length would be that of
  // what was not sent.
  if (response.status != 204 && response.status != 304) {
    fmt::format_to(std::back_inserter(out), "Content-Type: {}\r\n", response.content_type);
    append_length(out, response);
  }
  fmt::format_to(std::back_inserter(out),
                 "Cache-Control: {}\r\nX-Content-Type-Options: nosniff\r\nConnection: {}\r\n",
                 response.cache_control, keep_alive ? "keep-alive" : "close");
  for (const auto& [name, value] : response.headers) {
    fmt::format_to(std::back_inserter(out), "{}: {}\r\n", name, value);
  }
  out += "\r\n";
  if (head_only) return out;
  response.body.insert(0, out);
  return std::move(response.body);
}

}  // namespace parlance::net
