// The API's documents and the two pages that show them, out of the program itself. Constant; any
// thread. A page loads nothing but from this server, which its Content-Security-Policy also says.
#pragma once

#include "net/http_message.h"

namespace parlance::net {

/// Answers Endpoint::openapi, asyncapi, docs, redoc and docs_file: gzipped where the client takes
/// that, and 304 where it has it already.
HttpResponse api_document(const HttpRequest& request);

}  // namespace parlance::net
