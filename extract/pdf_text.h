// Text out of a PDF, page by page, in reading order. Opens no file: encodings that poppler would
// look up in its data files (some of Chinese, Japanese and Korean) give no text.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "extract/document.h"

namespace parlance::extract {

/// Loads what poppler would load at its first page. Before confine(). Errors: unavailable.
Status prepare_pdf();

/// Refuses: broken (also one that is cut off), encrypted (a password opens it), too_large (pages,
/// text).
Extracted<std::string> pdf_text(std::string_view pdf, const Limits& limits);

}  // namespace parlance::extract
