// What the routes of voice messages answer. Thread: the core of the connection.
#pragma once

#include <functional>

#include <boost/asio/awaitable.hpp>

#include "net/core.h"
#include "net/http_message.h"

namespace parlance::net {

/// Answers POST /api/v1/message/voice, whose body is spooled, and GET /api/v1/message/{id}/audio.
/// As answer() in http_endpoints.h.
boost::asio::awaitable<HttpResponse> answer_voice(Core& core, HttpRequest& request,
                                                  std::function<void()>& on_leave);

}  // namespace parlance::net
