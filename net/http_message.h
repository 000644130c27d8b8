// One request and its answer as the endpoints see them, free of Beast.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dialects/problem.h"
#include "net/request_target.h"
#include "net/route_table.h"
#include "net/spooled_body.h"
#include "schemas/ids.h"

namespace parlance::net {

class BodyStream;

struct HttpRequest {
  std::string method;
  Route route;
  RequestTarget target;
  SessionId client;             ///< Whom the access token speaks for; of KISS routes only.
  std::string idempotency_key;  ///< Empty when the client gave none.
  std::string accept_encoding;
  std::string if_none_match;
  std::string if_match;  ///< All its lines, joined by commas.
  std::string range;
  std::string if_range;
  bool wants_events = false;  ///< Accept names text/event-stream.
  bool wants_json = false;    ///< Accept names application/json.
  std::string content_type;   ///< Of a voice message only; it names the boundary.
  std::string body;
  std::unique_ptr<SpooledBody> spooled;  ///< The body of a voice message, instead.
  std::string id;                        ///< X-Request-Id, of the client or of ours.
};

struct HttpResponse {
  int status = 200;
  std::string_view content_type = "application/json";
  std::string body = {};
  std::vector<std::pair<std::string_view, std::string>> headers = {};
  std::string_view cache_control = "no-store";
  bool close = false;                        ///< The connection ends with this answer.
  std::shared_ptr<BodyStream> stream = {};   ///< Sent as the body, instead of `body`...
  bool chunked = true;                       ///< ...in chunks, where its length is not known.
  std::shared_ptr<void> until_written = {};  ///< Let go when the client has taken it, or is gone.
};

/// `problem` as an answer to the request with `request_id`.
HttpResponse to_response(const dialects::Problem& problem, std::string_view request_id);

/// What an answer of 204 has.
HttpResponse no_content();

/// Status line, headers and, unless `head_only`, the body of `response`. A body with kHeadBytes to
/// spare is not copied. Of a response with a stream: no body, and the headers that say how it
/// comes.
std::string to_wire(HttpResponse response, std::string_view request_id, bool keep_alive,
                    bool head_only);
inline constexpr std::size_t kHeadBytes = 2 << 10;

/// Whether the values of Accept name `media_type`, which is in lower case.
bool accepts(std::string_view accept, std::string_view media_type);

/// The status line and the headers that every answer has.
std::string wire_head(int status, std::string_view request_id);

}  // namespace parlance::net
