// Kinds of text told apart by what it says: HTML, JSON, CSV, Markdown, or plain. A wrong guess
// between the last three costs nothing but the label, as their text is taken as it is.
#pragma once

#include <string_view>

#include "extract/document.h"

namespace parlance::extract {

enum class TextKind : unsigned char { plain, markdown, csv, json, html, rich_text, postscript };

/// `text` is UTF-8. Text that begins as JSON and goes wrong on the way is refused, not called
/// plain. Refuses: broken, too_deep (JSON only).
Extracted<TextKind> kind_of_text(std::string_view text, const Limits& limits);

const char* mime_type(TextKind kind) noexcept;

}  // namespace parlance::extract
