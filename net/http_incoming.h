// A request while it is being read: the connection's own, with Beast. Not for other headers.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include "net/http_connection.h"
#include "net/http_message.h"
#include "net/kiss_actions.h"

namespace parlance::net {

inline std::string_view text(boost::beast::string_view view) {
  return {view.data(), view.size()};
}

inline std::string_view text(const boost::beast::flat_buffer& buffer) {
  return {static_cast<const char*>(buffer.data().data()), buffer.size()};
}

struct HttpConnection::Incoming {
  explicit Incoming(Core& core) : held(core) {
    parser.header_limit(static_cast<std::uint32_t>(core.options().header_bytes_max));
    parser.body_limit(boost::none);  // By route; set by check_body().
  }
  std::string_view header(boost::beast::http::field name) const { return text(parser.get()[name]); }

  boost::beast::http::request_parser<boost::beast::http::string_body> parser;
  HttpRequest request;
  DocumentMemory held;                  ///< What the body of /documents takes.
  std::optional<HttpResponse> refusal;  ///< Why it could not be read, where that can be told.
};

}  // namespace parlance::net
