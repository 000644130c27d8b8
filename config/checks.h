// Rules for single values of the configuration that no type or range tells. Pure.
#pragma once

#include <string_view>

namespace parlance::config {

/// What is wrong with a key that clients are to present, such as "is empty"; empty when nothing is.
/// Never holds the key.
std::string_view problem_with_client_key(std::string_view key);

/// Whether `text` may equal the Origin that some browser sends, which is scheme://host[:port]
/// without the scheme's own port, or "null" or "file://" for a page without a host.
bool possible_origin(std::string_view text);

/// Whether `text` may be the name or the address of a host; IPv6 with or without brackets.
bool possible_host(std::string_view text);

}  // namespace parlance::config
