// Bytes of text in whatever encoding into clean UTF-8.
#pragma once

#include <string>
#include <string_view>

#include "extract/document.h"

namespace parlance::extract {

/// `bytes` as UTF-8: after a byte order mark, as UTF-8 when they are well-formed, else in the
/// encoding `declared` (empty: none), else in the one they look like.
/// Refuses: unknown_encoding; too_large past `bytes_max` bytes of UTF-8.
Extracted<std::string> to_utf8(std::string_view bytes, std::string_view declared,
                               std::size_t bytes_max);

/// UTF-16 as UTF-8, every lone surrogate replaced by U+FFFD.
std::string utf16_to_utf8(std::u16string_view text);

/// `text`, well-formed UTF-8, with line ends as line feeds and without other control characters,
/// byte order marks and non-characters.
std::string clean(std::string text);

/// `text` with the letters that typesetting joined or shaped (ligatures, Arabic presentation forms)
/// as plain letters, and without marks that only steer its display.
std::string unshape(std::string_view text);

/// The share of control characters that no text file has, of `bytes`, in 0..1.
double control_share(std::string_view bytes);

}  // namespace parlance::extract
