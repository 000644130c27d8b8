// The body of an answer that is too long for memory, or is sent while it is made. Used by one
// connection, on its core's thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <boost/asio/awaitable.hpp>

#include "base/result.h"

namespace parlance::net {

class BodyStream {
 public:
  BodyStream() = default;
  BodyStream(const BodyStream&) = delete;
  BodyStream& operator=(const BodyStream&) = delete;
  virtual ~BodyStream() = default;

  /// Bytes in all, where that is known; then next() must give exactly so many.
  virtual std::optional<std::uint64_t> length() const = 0;

  /// The next piece; empty at the end. An error breaks the answer off, which its reader sees.
  virtual boost::asio::awaitable<Result<std::string>> next() = 0;
};

}  // namespace parlance::net
