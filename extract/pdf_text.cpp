#include "extract/pdf_text.h"

#include <algorithm>
#include <climits>
#include <memory>

#include <iconv.h>
#include <poppler-document.h>
#include <poppler-global.h>
#include <poppler-page.h>

#include "extract/charset.h"
#include "extract/text_sink.h"

namespace parlance::extract {
namespace {

/// Poppler rebuilds what is cut off and would give the first part for the whole.
bool is_complete(std::string_view pdf) {
  constexpr std::size_t kTailBytes = 4096;
  const std::string_view tail = pdf.substr(pdf.size() - std::min(pdf.size(), kTailBytes));
  return tail.find("startxref") != std::string_view::npos;
}

std::string page_text(const poppler::document& document, int number, bool& found) {
  const std::unique_ptr<poppler::page> page(document.create_page(number));
  if (!page) return {};
  found = true;
  const poppler::ustring text =
      page->text(poppler::rectf(), poppler::page::non_raw_non_physical_layout);
  std::u16string utf16(text.begin(), text.end());
  std::string plain = unshape(utf16_to_utf8(utf16));
  // A form feed after line ends; pages are kept apart by the caller.
  plain.resize(plain.find_last_not_of(" \n\f") + 1);
  return plain;
}

}  // namespace

Status prepare_pdf() {
  // Every page goes through this pair of iconv, whose modules are files. They stay loaded while a
  // descriptor is open, so it is never closed.
  static const iconv_t kept = iconv_open("UTF-16", "UTF-8");
  // NOLINTNEXTLINE(performance-no-int-to-ptr): this is how iconv says no.
  if (kept == reinterpret_cast<iconv_t>(-1) || poppler::ustring::from_utf8("a").empty()) {
    return Error{Errc::unavailable, "cannot load the UTF-16 module of iconv"};
  }
  return {};
}

Extracted<std::string> pdf_text(std::string_view pdf, const Limits& limits) {
  if (pdf.size() > INT_MAX) return Outcome::too_large;
  if (!is_complete(pdf)) return Outcome::broken;
  // It would write pieces of the document to standard error.
  poppler::set_debug_error_function([](const std::string&, void*) {}, nullptr);
  const std::unique_ptr<poppler::document> document(
      poppler::document::load_from_raw_data(pdf.data(), static_cast<int>(pdf.size())));
  if (!document) return Outcome::broken;
  if (document->is_locked()) return Outcome::encrypted;
  const int pages = document->pages();
  if (pages <= 0) return Outcome::broken;
  if (pages > limits.pages_max) return Outcome::too_large;

  TextSink sink(limits.text_bytes_max);
  bool found = false;
  for (int number = 0; number < pages; ++number) {
    sink.append(page_text(*document, number, found));
    sink.end_block();
    if (sink.full()) return Outcome::too_large;
  }
  if (!found) return Outcome::broken;
  return sink.take();
}

}  // namespace parlance::extract
