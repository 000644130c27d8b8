// What the routes of the agent platform answer, but for streams (message_stream.h). Thread: the
// core of the connection.
#pragma once

#include <functional>

#include <boost/asio/awaitable.hpp>

#include "net/core.h"
#include "net/http_message.h"

namespace parlance::net {

/// Answers the endpoints under /api/v1. As answer() in http_endpoints.h.
boost::asio::awaitable<HttpResponse> answer_platform(Core& core, HttpRequest& request,
                                                     std::function<void()>& on_leave);

}  // namespace parlance::net
