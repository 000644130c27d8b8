#include "confined/descriptor_io.h"

#include <cerrno>

#include <unistd.h>

namespace parlance::confined {

bool read_all(int descriptor, void* to, std::size_t size) {
  auto* place = static_cast<char*>(to);
  while (size > 0) {
    const ssize_t got = read(descriptor, place, size);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    place += got;
    size -= static_cast<std::size_t>(got);
  }
  return true;
}

bool write_all(int descriptor, const void* from, std::size_t size) {
  const auto* place = static_cast<const char*>(from);
  while (size > 0) {
    const ssize_t put = write(descriptor, place, size);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return false;
    place += put;
    size -= static_cast<std::size_t>(put);
  }
  return true;
}

}  // namespace parlance::confined
