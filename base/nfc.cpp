#include "base/nfc.h"

#include <cstdint>

#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>

#include "base/check.h"

namespace parlance {

std::string to_nfc(std::string_view text) {
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* const normalizer = icu::Normalizer2::getNFCInstance(status);
  CHECK(U_SUCCESS(status));  // The tables are part of ICU's library.
  const icu::StringPiece given(text.data(), static_cast<std::int32_t>(text.size()));
  std::string out;
  icu::StringByteSink<std::string> sink(&out, given.length());
  normalizer->normalizeUTF8(0, given, sink, nullptr, status);
  CHECK(U_SUCCESS(status));
  return out;
}

}  // namespace parlance
