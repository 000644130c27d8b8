// The XML parts of Office documents without the archive around them, whose checksums would stop
// nearly every mutation.

#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "extract/markup_writer.h"
#include "extract/xml_part.h"

using namespace parlance::extract;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Limits limits;
  limits.text_bytes_max = 1 << 20;
  auto part = parse_xml({reinterpret_cast<const char*>(data), size}, limits);
  if (!part) return 0;
  TextSink sink(limits.text_bytes_max);
  MarkupWriter(sink).write((*part)->tree.document_element());
  CHECK(sink.take().size() <= limits.text_bytes_max);
  return 0;
}
