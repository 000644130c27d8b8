// Blocking reads and writes of whole buffers, as a confined program talks to its parent.
#pragma once

#include <cstddef>

namespace parlance::confined {

/// Fills `size` bytes at `to`. False at the end of the stream or after an error.
bool read_all(int descriptor, void* to, std::size_t size);

/// False when nobody reads any more, or after an error.
bool write_all(int descriptor, const void* from, std::size_t size);

}  // namespace parlance::confined
