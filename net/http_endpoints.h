// What the HTTP routes answer, given a whole request. Parses with the dialect, asks the gateway.
// Thread: the core of the connection.
#pragma once

#include <optional>

#include <boost/asio/awaitable.hpp>

#include "net/core.h"
#include "net/http_message.h"

namespace parlance::net {

/// Answers every endpoint but the socket and the event stream. `request` outlives the call.
boost::asio::awaitable<HttpResponse> answer(Core& core, const HttpRequest& request);

/// 503 with Retry-After and the sentence that says why, or nothing when the node can serve.
std::optional<dialects::Problem> why_not_ready(Core& core);

}  // namespace parlance::net
