// The request target of HTTP: path segments and query parameters, percent-decoded. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace parlance::net {

struct RequestTarget {
  std::vector<std::string> segments;  ///< Decoded; "/" has none.
  std::vector<std::pair<std::string, std::string>> query;

  /// The first value of `name`, or nothing.
  std::optional<std::string_view> parameter(std::string_view name) const;
};

/// Reads "/path?query" or "http://host/path?query".
/// Errors: invalid_argument (no path, a bad percent escape, control characters, bytes that are not
/// UTF-8 once decoded).
Result<RequestTarget> parse_target(std::string_view target);

}  // namespace parlance::net
