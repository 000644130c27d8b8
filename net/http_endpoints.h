// What the HTTP routes answer, given a whole request. Parses with the dialect, asks the gateway.
// Thread: the core of the connection.
#pragma once

#include <functional>
#include <optional>

#include <boost/asio/awaitable.hpp>

#include "net/core.h"
#include "net/http_message.h"

namespace parlance::net {

/// Answers every endpoint but the socket and the event stream. `request` and `on_leave` outlive the
/// call. While the answer takes long, `on_leave` holds what ends it early: to be called when the
/// client has gone.
boost::asio::awaitable<HttpResponse> answer(Core& core, const HttpRequest& request,
                                            std::function<void()>& on_leave);

/// 503 with Retry-After and the sentence that says why, or nothing when the node can serve.
std::optional<dialects::Problem> why_not_ready(Core& core);

}  // namespace parlance::net
