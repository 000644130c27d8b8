// Digests, for what must not be found again from its name or is compared by it. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

namespace parlance {

/// SHA-256 of `text`: 32 bytes.
std::string sha256(std::string_view text);

}  // namespace parlance
