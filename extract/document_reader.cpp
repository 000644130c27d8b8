#include "extract/document_reader.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/json.h"
#include "extract/charset.h"
#include "extract/html_text.h"
#include "extract/office_package.h"
#include "extract/office_text.h"
#include "extract/pdf_text.h"
#include "extract/text_kind.h"

namespace parlance::extract {
namespace {

// Bytes that no text has are forgiven up to this share, and cleaned away.
constexpr double kControlShareMax = 1.0 / 32;

constexpr std::string_view kZipMark = "PK\x03\x04";
constexpr std::string_view kOleMark = "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";

Document make_document(std::string type, Extracted<std::string> text) {
  if (!text) return {text.error(), std::move(type), {}};
  std::string cleaned = clean(std::move(*text));
  const std::size_t last = cleaned.find_last_not_of(" \t\n");
  if (last == std::string::npos) return {Outcome::empty, std::move(type), {}};
  // One line end at the end, if any, however many a parser left there.
  cleaned.resize(std::min(last + 2, cleaned.size()));
  return {Outcome::text, std::move(type), std::move(cleaned)};
}

Document read_pdf(std::string_view bytes, const Limits& limits) {
  return make_document("application/pdf", pdf_text(bytes, limits));
}

Document read_archive(std::string_view bytes, const confined::TypeDetector& detector,
                      const Limits& limits) {
  auto package = OfficePackage::open(bytes, limits);
  if (!package) return {package.error(), "application/zip", {}};
  if (package->kind() == OfficeKind::other_archive) {
    const std::string type = detector.type_of(bytes);
    const bool known = type != "application/octet-stream";
    return {Outcome::unsupported_type, known ? type : mime_type(OfficeKind::other_archive), {}};
  }
  return make_document(mime_type(package->kind()), office_text(*package, limits));
}

/// The container of old Office files, and of new ones that are encrypted.
Document read_ole(std::string_view bytes, const confined::TypeDetector& detector) {
  std::string marker;
  for (const char c : std::string_view("EncryptedPackage")) (marker += c) += '\0';
  if (bytes.find(marker) != std::string_view::npos) {
    return {Outcome::encrypted, "application/encrypted", {}};
  }
  return {Outcome::unsupported_type, detector.type_of(bytes), {}};
}

Document read_text(std::string_view bytes, const Limits& limits) {
  auto text = to_utf8(bytes, declared_charset(bytes), limits.text_bytes_max);
  if (!text) return {text.error(), "text/plain", {}};
  const auto kind = kind_of_text(*text, limits);
  if (!kind) return {kind.error(), mime_type(TextKind::json), {}};
  switch (*kind) {
    case TextKind::rich_text:
    case TextKind::postscript:
      return {Outcome::unsupported_type, mime_type(*kind), {}};
    case TextKind::html:
      return make_document(mime_type(*kind), html_text(*text, limits));
    case TextKind::plain:
    case TextKind::markdown:
    case TextKind::csv:
    case TextKind::json:
      break;
  }
  return make_document(mime_type(*kind), std::move(text));
}

bool has_byte_order_mark(std::string_view bytes) {
  return bytes.starts_with("\xff\xfe") || bytes.starts_with("\xfe\xff") ||
         bytes.starts_with(std::string_view("\0\0\xfe\xff", 4));
}

}  // namespace

Status prepare_libraries() {
  // One small document of each library that reads tables lazily.
  const Limits limits;
  (void)to_utf8("caf\xe9 \xc7\xe1\xd3\xe1\xc7\xe3 \xda\xe1\xed\xdf\xe3", "", limits.text_bytes_max);
  (void)html_text("<p>&eacute;", limits);
  (void)pdf_text("%PDF-1.4\ntrailer<<>>\nstartxref\n0\n%%EOF\n", limits);
  (void)unshape("\xef\xac\x81");
  return prepare_pdf();
}

Document read_document(const confined::TypeDetector& detector, std::string_view bytes,
                       const Limits& limits) {
  if (bytes.empty()) return {Outcome::empty, "inode/x-empty", {}};
  // These are certain, and libmagic takes milliseconds or is at times wrong about them.
  if (bytes.starts_with("%PDF-")) return read_pdf(bytes, limits);
  if (bytes.starts_with(kZipMark) || bytes.starts_with("PK\x05\x06")) {
    return read_archive(bytes, detector, limits);
  }
  if (bytes.starts_with(kOleMark)) return read_ole(bytes, detector);
  if (has_byte_order_mark(bytes)) return read_text(bytes, limits);

  const double controls = control_share(bytes);
  const bool utf8 = json::valid_utf8(bytes);
  if (utf8 && controls == 0) return read_text(bytes, limits);

  const std::string type = detector.type_of(bytes);
  if (type == "application/pdf") return read_pdf(bytes, limits);
  const bool textual = type.starts_with("text/") || type == "application/json" ||
                       type == "application/csv" || type == "application/x-ndjson" ||
                       (type == "application/octet-stream" && utf8);
  if (textual && controls <= kControlShareMax) return read_text(bytes, limits);
  return {Outcome::unsupported_type, type, {}};
}

}  // namespace parlance::extract
