// Blocking reads and writes of whole buffers, as a confined program talks to its parent.
#pragma once

#include <cstddef>

namespace parlance::confined {

/// Fills `size` bytes at `to`. False at the end of the stream or after an error.
bool read_all(int descriptor, void* to, std::size_t size);

/// False when nobody reads any more, or after an error.
bool write_all(int descriptor, const void* from, std::size_t size);

/// Fills `size` bytes at `to` from the socket, and takes the descriptor that came with the first of
/// them: -1 when none did. False as `read_all`.
bool read_all_with_descriptor(int socket, void* to, std::size_t size, int& descriptor);

}  // namespace parlance::confined
