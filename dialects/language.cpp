#include "dialects/language.h"

#include <cstddef>
#include <cstdio>  // The header of CLD2 needs it and does not say so.

#include <cld2/public/compact_lang_det.h>

namespace parlance::dialects {
namespace {

/// Enough to tell, and read in some 40 microseconds.
constexpr std::size_t kLookedAtBytes = 512;
constexpr int kNoEncoding = 23;  // CLD2::UNKNOWN_ENCODING, whose header clashes with others.

std::string_view beginning(std::string_view text) {
  if (text.size() <= kLookedAtBytes) return text;
  std::size_t end = kLookedAtBytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return text.substr(0, end);
}

}  // namespace

std::string_view language_of(std::string_view text) {
  text = beginning(text);
  const CLD2::CLDHints no_hints{nullptr, nullptr, kNoEncoding, CLD2::UNKNOWN_LANGUAGE};
  CLD2::Language languages[3];
  int percents[3];
  double scores[3];
  int bytes = 0;
  int valid_bytes = 0;
  bool reliable = false;
  // Without "best effort" no word alone has a language.
  const CLD2::Language found = CLD2::ExtDetectLanguageSummaryCheckUTF8(
      text.data(), static_cast<int>(text.size()), true, &no_hints, CLD2::kCLDFlagBestEffort,
      languages, percents, scores, nullptr, &bytes, &reliable, &valid_bytes);
  if (!reliable || found == CLD2::UNKNOWN_LANGUAGE) return {};
  const std::string_view code = CLD2::LanguageCode(found);
  if (code == "iw") return "he";  // CLD2 knows the codes of 1988.
  return code;
}

}  // namespace parlance::dialects
