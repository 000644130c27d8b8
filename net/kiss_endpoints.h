// What the HTTP routes of the KISS stack answer, given a whole request whose access token was read.
// Thread: the core of the connection.
#pragma once

#include <functional>

#include <boost/asio/awaitable.hpp>

#include "net/core.h"
#include "net/http_message.h"

namespace parlance::net {

/// Answers /auth, /sessions, /queries, /documents and /passages/{id}. As answer() of
/// http_endpoints.h; a query that nobody waits for any more runs on.
boost::asio::awaitable<HttpResponse> answer_kiss(Core& core, HttpRequest& request,
                                                 std::function<void()>& on_leave);

}  // namespace parlance::net
