// The pages for people, out of the program itself: the chat at /, the console at /console, and what
// both load. Constant; any thread. They hold nothing of anybody, so no key is asked for them; what
// their scripts ask the server for needs one.
#pragma once

#include "net/http_message.h"

namespace parlance::net {

/// Answers Endpoint::chat_page, console_page and asset.
HttpResponse web_page(const HttpRequest& request);

}  // namespace parlance::net
