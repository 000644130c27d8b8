// Which language a text is in. Pure; any thread.
#pragma once

#include <string_view>

namespace parlance::dialects {

/// The language most of `text` is in, as a short tag such as "ar" or "en"; empty when that cannot
/// be told. Looks at the beginning of a long text only. `text` must be valid UTF-8.
std::string_view language_of(std::string_view text);

}  // namespace parlance::dialects
