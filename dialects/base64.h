// Strict decoding of base64 (RFC 4648 section 4), as files come in JSON. Pure; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace parlance::dialects {

/// The bytes that `text` stands for. Padding may be left out, but not be wrong. Nothing when there
/// is any other character, a line break included, or bits left over that are not zero.
std::optional<std::string> decode_base64(std::string_view text);

}  // namespace parlance::dialects
