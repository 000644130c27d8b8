// The operator's console over HTTP: its state and history, a session's log, and stopping a run.
// Thread: the core of the connection.
#pragma once

#include <boost/asio/awaitable.hpp>

#include "net/core.h"
#include "net/http_message.h"

namespace parlance::net {

/// Answers the endpoints under /console/api but the event stream. `request` outlives the call.
boost::asio::awaitable<HttpResponse> answer_console(Core& core, const HttpRequest& request);

/// 503: as many consoles are open as may be.
dialects::Problem too_many_consoles();

}  // namespace parlance::net
