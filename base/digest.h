// Digests, for what must not be found again from its name or is compared by it. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

namespace parlance {

/// SHA-256 of `text`: 32 bytes.
std::string sha256(std::string_view text);

/// The same of the whole file behind `descriptor`, read by position and in pieces; empty when it
/// cannot be read.
std::string sha256_of_file(int descriptor);

}  // namespace parlance
