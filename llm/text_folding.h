// One spelling for what people write in several ways, in English and Arabic, for the offline
// provider, which compares words without a language library. Pure; any thread. Text need not be
// valid UTF-8.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>

namespace parlance::llm {

/// One code point of `text` at `at`, which moves past it. Ill-formed bytes come out as they are.
inline char32_t next_code_point(std::string_view text, std::size_t& at) {
  const auto byte = [&](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const unsigned lead = byte(at++);
  const int more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : lead >= 0xc0 ? 1 : 0;
  if (more == 0) return lead;
  char32_t point = lead & (0x3fU >> more);
  for (int i = 0; i < more; ++i) point = point << 6 | (byte(at++) & 0x3fU);
  at = std::min(at, text.size());
  return point;
}

inline bool is_arabic(char32_t point) {
  return (point >= 0x0600 && point <= 0x06ff) || (point >= 0x0750 && point <= 0x077f) ||
         (point >= 0xfb50 && point <= 0xfdff) || (point >= 0xfe70 && point <= 0xfeff);
}

/// Vowel marks and the stretching line, which are written or left out at will.
inline bool is_arabic_mark(char32_t point) {
  return (point >= 0x064b && point <= 0x065f) || point == 0x0640 || point == 0x0670;
}

/// For code points beyond ASCII.
inline bool is_separator(char32_t point) {
  const bool arabic = point == 0x060c || point == 0x061b || point == 0x061f ||
                      (point >= 0x066a && point <= 0x066d) || point == 0x06d4;
  return arabic || point <= 0xbf || point == 0xd7 || point == 0xf7 ||
         (point >= 0x2000 && point <= 0x206f) || (point >= 0x3000 && point <= 0x303f);
}

/// One for all the forms of a letter that people use for one another.
inline char32_t folded(char32_t point) {
  if (point == 0x0622 || point == 0x0623 || point == 0x0625) return 0x0627;  // Alef.
  if (point == 0x0649) return 0x064a;                                        // Yeh.
  if (point == 0x0629) return 0x0647;                                        // Heh.
  return point;
}

/// ASCII letters in lower case and digits as they are; 0 for what separates words.
inline constexpr std::array<unsigned char, 128> kFoldedAscii = [] {
  std::array<unsigned char, 128> table{};
  for (unsigned char c = '0'; c <= '9'; ++c) table[c] = c;
  for (unsigned char c = 'a'; c <= 'z'; ++c) table[c] = table[c - 32] = c;
  return table;
}();

/// The first bytes of `text` that make at most `bytes_max` of whole code points.
inline std::string_view cut_utf8(std::string_view text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  std::size_t end = bytes_max;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return text.substr(0, end);
}

}  // namespace parlance::llm
