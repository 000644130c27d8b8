// Text out of HTML as a reader would see it: without scripts, styles and markup, one line per
// block, the cells of a row apart by tabs. Fetches nothing.
#pragma once

#include <string>
#include <string_view>

#include "extract/document.h"

namespace parlance::extract {

/// The encoding that the first bytes of a page declare, or nothing.
std::string_view declared_charset(std::string_view bytes);

/// `html` is UTF-8. Refuses: too_deep, too_large, broken.
Extracted<std::string> html_text(std::string_view html, const Limits& limits);

}  // namespace parlance::extract
