// What the HTTP routes answer, given a whole request. Parses with the dialect, asks the gateway.
// Thread: the core of the connection.
#pragma once

#include <functional>
#include <optional>
#include <string_view>

#include <boost/asio/awaitable.hpp>

#include "net/core.h"
#include "net/http_message.h"

namespace parlance::net {

/// Answers every endpoint but the sockets and the event stream. `request`, whose body may be taken,
/// and `on_leave` outlive the call. While the answer takes long, `on_leave` holds what ends it
/// early: to be called when the client has gone.
boost::asio::awaitable<HttpResponse> answer(Core& core, HttpRequest& request,
                                            std::function<void()>& on_leave);

/// Stops the run of the session in the path that the body names, or the one in progress.
boost::asio::awaitable<HttpResponse> cancel_run(Core& core, const HttpRequest& request);

/// True for what can be a part of a message id: 1 to 123 visible ASCII characters.
bool valid_idempotency_key(std::string_view key);
dialects::Problem bad_idempotency_key();

/// 503 with Retry-After and the sentence that says why, or nothing when the node can serve.
std::optional<dialects::Problem> why_not_ready(Core& core);

}  // namespace parlance::net
