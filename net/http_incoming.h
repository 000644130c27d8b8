// A request while it is being read: the connection's own, with Beast. Not for other headers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <boost/beast/core/buffers_range.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/optional.hpp>

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

/// A body of Beast's that is read into a string: as its string_body, but where the string is
/// emptied now and then, so that no room is taken for the whole.
struct ReceivedBody {
  struct value_type {  // NOLINT(readability-identifier-naming): as Beast calls it.
    std::string bytes;
    bool emptied = false;
  };
  class reader {  // NOLINT(readability-identifier-naming): as above.
   public:
    template <bool is_request, class Fields>
    reader(boost::beast::http::header<is_request, Fields>& /*header*/, value_type& body)
        : body_(body) {}
    void init(const boost::optional<std::uint64_t>& length, boost::system::error_code& error) {
      if (length && !body_.emptied) body_.bytes.reserve(static_cast<std::size_t>(*length));
      error = {};
    }
    template <class Buffers>
    std::size_t put(const Buffers& buffers, boost::system::error_code& error) {
      std::size_t taken = 0;
      for (const boost::asio::const_buffer buffer : boost::beast::buffers_range_ref(buffers)) {
        body_.bytes.append(static_cast<const char*>(buffer.data()), buffer.size());
        taken += buffer.size();
      }
      error = {};
      return taken;
    }
    void finish(boost::system::error_code& error) { error = {}; }

   private:
    value_type& body_;
  };
};

struct HttpConnection::Incoming {
  explicit Incoming(Core& core) : held(core) {
    parser.header_limit(static_cast<std::uint32_t>(core.options().header_bytes_max));
    parser.body_limit(boost::none);  // By route; set by check_body().
  }
  std::string_view header(boost::beast::http::field name) const { return text(parser.get()[name]); }

  boost::beast::http::request_parser<ReceivedBody> parser;
  HttpRequest request;
  DocumentMemory held;                  ///< What the body of /documents takes.
  std::optional<HttpResponse> refusal;  ///< Why it could not be read, where that can be told.
};

}  // namespace parlance::net
