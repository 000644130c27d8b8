// Unicode's canonical composition, so that equal texts are equal bytes. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

namespace parlance {

/// `text` in NFC. `text` must be valid UTF-8. What is in NFC already comes back as it is.
std::string to_nfc(std::string_view text);

}  // namespace parlance
