// Whole files: type detection, encodings, HTML, JSON, CSV, zip and Office. Not PDF: poppler is
// fuzzed by its own people, and is too slow here.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "base/json.h"
#include "extract/document_reader.h"

using namespace parlance::extract;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const parlance::confined::TypeDetector detector =
      parlance::confined::TypeDetector::load().value();
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (bytes.find("%PDF") != std::string_view::npos) return 0;
  Limits limits;
  limits.text_bytes_max = 1 << 20;
  limits.inflated_bytes_max = 4 << 20;
  const Document document = read_document(detector, bytes, limits);
  CHECK((document.outcome == Outcome::text) == !document.text.empty());
  CHECK(document.text.size() <= limits.text_bytes_max);
  CHECK(parlance::json::valid_utf8(document.text));
  CHECK(document.type.size() <= kTypeBytesMax);
  return 0;
}
