#include "confined/type_detector.h"

#include <algorithm>

#include <magic.h>

namespace parlance::confined {
namespace {

// Everything that libmagic knows lies near the start; the time of its searches grows with the
// bytes.
constexpr std::size_t kHeadBytes = 256 << 10;

}  // namespace

void TypeDetector::Close::operator()(magic_set* magic) const {
  magic_close(magic);
}

Result<TypeDetector> TypeDetector::load() {
  // It need not look into compressed files, which it does by starting programs.
  TypeDetector detector(magic_open(MAGIC_MIME_TYPE | MAGIC_NO_CHECK_COMPRESS | MAGIC_NO_CHECK_ELF |
                                   MAGIC_NO_CHECK_CSV | MAGIC_NO_CHECK_JSON));
  if (!detector.magic_ || magic_load(detector.magic_.get(), nullptr) != 0) {
    return Error{Errc::unavailable, "cannot load the database of libmagic"};
  }
  return detector;
}

std::string TypeDetector::type_of(std::string_view bytes) const {
  const char* const type =
      magic_buffer(magic_.get(), bytes.data(), std::min(bytes.size(), kHeadBytes));
  return type == nullptr || *type == '\0' ? "application/octet-stream" : type;
}

}  // namespace parlance::confined
