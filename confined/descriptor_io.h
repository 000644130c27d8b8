// Reads and writes as a confined program and its parent talk to each other. Blocking, and of whole
// buffers, where nothing else is said.
#pragma once

#include <cstddef>
#include <span>

#include <sys/types.h>

namespace parlance::confined {

/// Fills `size` bytes at `to`. False at the end of the stream or after an error.
bool read_all(int descriptor, void* to, std::size_t size);

/// False when nobody reads any more, or after an error.
bool write_all(int descriptor, const void* from, std::size_t size);

/// Fills `size` bytes at `to` from the socket, and takes the descriptor that came with the first of
/// them: -1 when none did. False as `read_all`.
bool read_all_with_descriptor(int socket, void* to, std::size_t size, int& descriptor);

/// sendmsg() of `bytes`, with a copy of `descriptor` unless that is -1; no signal when nobody
/// reads.
ssize_t send_with_descriptor(int socket, std::span<const char> bytes, int descriptor, int flags);

}  // namespace parlance::confined
