// Finds a member of a JSON object without parsing what it holds, so that a large value is parsed
// where it lies, once, and by who knows what it should be. Pure; any thread.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace parlance::dialects {

struct RawMember {
  std::size_t begin = 0;
  std::size_t bytes = 0;
};

/// Where in `object` the value of its last member `name` is, without blanks around it; nothing when
/// there is none. Only brackets and strings are looked at: whether `object` is valid JSON is for
/// the caller to find out, and so is what a value in invalid JSON is worth.
std::optional<RawMember> find_raw_member(std::string_view object, std::string_view name);

}  // namespace parlance::dialects
