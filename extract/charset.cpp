#include "extract/charset.h"

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include <unicode/normalizer2.h>
#include <unicode/ucnv.h>
#include <unicode/ucsdet.h>
#include <unicode/unistr.h>
#include <unicode/utf16.h>
#include <unicode/utf8.h>

#include "base/json.h"

namespace parlance::extract {
namespace {

using Converter = std::unique_ptr<UConverter, decltype(&ucnv_close)>;
using Detector = std::unique_ptr<UCharsetDetector, decltype(&ucsdet_close)>;

// Statistics of single letters need no more, and their time grows with the text.
constexpr std::size_t kDetectBytesMax = 64 << 10;
// Below, ICU itself calls it a guess; a wrong guess would be stored as nonsense.
constexpr int kConfidenceMin = 20;

struct ByteOrderMark {
  std::string_view mark;
  const char* encoding;
};
// UTF-32 first: its little-endian mark begins with that of UTF-16.
constexpr std::array<ByteOrderMark, 5> kByteOrderMarks = {{{{"\xff\xfe\0\0", 4}, "UTF-32LE"},
                                                           {{"\0\0\xfe\xff", 4}, "UTF-32BE"},
                                                           {"\xef\xbb\xbf", "UTF-8"},
                                                           {"\xff\xfe", "UTF-16LE"},
                                                           {"\xfe\xff", "UTF-16BE"}}};

Extracted<std::string> convert(std::string_view bytes, const char* encoding,
                               std::size_t bytes_max) {
  UErrorCode error = U_ZERO_ERROR;
  const Converter converter(ucnv_open(encoding, &error), ucnv_close);
  if (U_FAILURE(error)) return Outcome::unknown_encoding;
  ucnv_setToUCallBack(converter.get(), UCNV_TO_U_CALLBACK_STOP, nullptr, nullptr, nullptr, &error);
  if (bytes.size() > bytes_max || bytes_max > INT32_MAX / 4) return Outcome::too_large;

  std::string text(bytes.size() * 3 + 1, '\0');  // No encoding of the list grows by more.
  const auto length =
      ucnv_toAlgorithmic(UCNV_UTF8, converter.get(), text.data(), static_cast<int>(text.size()),
                         bytes.data(), static_cast<int>(bytes.size()), &error);
  if (U_FAILURE(error) || length < 0) return Outcome::unknown_encoding;
  text.resize(static_cast<std::size_t>(length));
  // An algorithmic target takes lone surrogates as they are.
  if (!json::valid_utf8(text)) return Outcome::unknown_encoding;
  if (text.size() > bytes_max) return Outcome::too_large;
  return text;
}

/// True for text that somebody may have written, as opposed to bytes read in a wrong encoding.
bool plausible(std::string_view text) {
  std::size_t letters = 0;
  std::size_t strange = 0;
  for (std::int32_t i = 0, size = static_cast<std::int32_t>(text.size()); i < size;) {
    UChar32 c = 0;
    U8_NEXT(text.data(), i, size, c);
    if (c < 0x80) continue;
    if (c < 0xa0 || !u_isdefined(c)) ++strange;
    if (u_isalpha(c)) ++letters;
  }
  return strange == 0 && letters > 0;
}

Extracted<std::string> convert_by_looks(std::string_view bytes, std::size_t bytes_max) {
  UErrorCode error = U_ZERO_ERROR;
  const Detector detector(ucsdet_open(&error), ucsdet_close);
  if (U_FAILURE(error)) return Outcome::unknown_encoding;
  const auto head = static_cast<int>(std::min(bytes.size(), kDetectBytesMax));
  ucsdet_setText(detector.get(), bytes.data(), head, &error);
  int found = 0;
  const UCharsetMatch** matches = ucsdet_detectAll(detector.get(), &found, &error);
  if (U_FAILURE(error)) return Outcome::unknown_encoding;
  for (int i = 0; i < found; ++i) {
    if (ucsdet_getConfidence(matches[i], &error) < kConfidenceMin || U_FAILURE(error)) break;
    const std::string_view name = ucsdet_getName(matches[i], &error);
    if (name == "UTF-8") {
      // With a flaw or two: as anything else all of it would be nonsense.
      std::string repaired = json::to_valid_utf8(bytes);
      if (repaired.size() > bytes_max) return Outcome::too_large;
      return repaired;
    }
    auto text = convert(bytes, std::string(name).c_str(), bytes_max);
    if (text.has_value() ? plausible(*text) : text.error() == Outcome::too_large) return text;
  }
  return Outcome::unknown_encoding;
}

/// True for a byte that `clean` may have to look at.
bool suspicious(char byte) {
  const auto c = static_cast<unsigned char>(byte);
  return (c < 0x20 && c != '\n' && c != '\t') || c == 0x7f || c == 0xc2 || c == 0xef || c == 0xf0 ||
         (c > 0xf0 && c < 0xf5);
}

/// What stands in clean text for `c`: itself, a line feed, or nothing (-1).
UChar32 cleaned(UChar32 c) {
  if (c == '\n' || c == '\t') return c;
  if (c == '\r' || c == 0x0b || c == 0x0c || c == 0x85) return '\n';
  if (c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xfeff || U_IS_UNICODE_NONCHAR(c)) return -1;
  return c;
}

/// Marks of direction that embed or override; the plain ones, which belong to the text, are kept.
bool steers_display(UChar32 c) {
  return (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

bool shaped(UChar32 c) {
  return (c >= 0xfb00 && c <= 0xfdff) || (c >= 0xfe70 && c <= 0xfefc);
}

}  // namespace

Extracted<std::string> to_utf8(std::string_view bytes, std::string_view declared,
                               std::size_t bytes_max) {
  for (const ByteOrderMark& known : kByteOrderMarks) {
    if (!bytes.starts_with(known.mark)) continue;
    return convert(bytes.substr(known.mark.size()), known.encoding, bytes_max);
  }
  if (json::valid_utf8(bytes)) {
    if (bytes.size() > bytes_max) return Outcome::too_large;
    return std::string(bytes);
  }
  if (!declared.empty()) {
    auto text = convert(bytes, std::string(declared).c_str(), bytes_max);
    if (text.has_value() || text.error() == Outcome::too_large) return text;
  }
  return convert_by_looks(bytes, bytes_max);
}

std::string utf16_to_utf8(std::u16string_view text) {
  std::string utf8;
  utf8.reserve(text.size() + text.size() / 2);
  icu::UnicodeString(false, text.data(), static_cast<std::int32_t>(text.size())).toUTF8String(utf8);
  return utf8;
}

std::string clean(std::string text) {
  const auto first = std::find_if(text.begin(), text.end(), suspicious);
  if (first == text.end()) return text;

  // In place: nothing grows.
  const auto size = static_cast<std::int32_t>(text.size());
  auto in = static_cast<std::int32_t>(first - text.begin());
  std::int32_t out = in;
  auto* const bytes = reinterpret_cast<std::uint8_t*>(text.data());
  while (in < size) {
    if (!suspicious(text[in])) {
      bytes[out++] = bytes[in++];
      continue;
    }
    UChar32 c = 0;
    U8_NEXT(bytes, in, size, c);
    if (c == '\r' && in < size && bytes[in] == '\n') continue;  // The line feed is to come.
    c = cleaned(c);
    if (c >= 0) U8_APPEND_UNSAFE(bytes, out, c);
  }
  text.resize(static_cast<std::size_t>(out));
  return text;
}

std::string unshape(std::string_view text) {
  UErrorCode error = U_ZERO_ERROR;
  const icu::Normalizer2* const compatible = icu::Normalizer2::getNFKCInstance(error);
  std::string plain;
  plain.reserve(text.size());
  const auto size = static_cast<std::int32_t>(text.size());
  for (std::int32_t i = 0; i < size;) {
    const std::int32_t start = i;
    UChar32 c = 0;
    U8_NEXT(text.data(), i, size, c);
    if (steers_display(c)) continue;
    icu::UnicodeString letters;
    if (shaped(c) && U_SUCCESS(error) && compatible->getDecomposition(c, letters)) {
      letters.toUTF8String(plain);
    } else {
      plain += text.substr(start, i - start);
    }
  }
  return plain;
}

double control_share(std::string_view bytes) {
  if (bytes.empty()) return 0;
  const auto controls = std::count_if(bytes.begin(), bytes.end(), [](char byte) {
    const auto c = static_cast<unsigned char>(byte);
    return c < 0x20 && (c < '\t' || c > '\r') && c != 0x1b;
  });
  return static_cast<double>(controls) / static_cast<double>(bytes.size());
}

}  // namespace parlance::extract
