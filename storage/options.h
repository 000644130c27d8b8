// Options of the store. Change them only with a measurement in hand.
#pragma once

#include <cstddef>
#include <string>

namespace parlance::storage {

struct Options {
  std::string directory = "./data";  ///< Made when missing (one level), readable by its owner only.
  /// Bytes of recent writes held in memory before they go to a sorted file; up to three such
  /// buffers exist. Larger: fewer files, more memory, longer recovery.
  std::size_t write_buffer_bytes = 64 << 20;
  std::size_t block_cache_bytes = 64 << 20;  ///< Memory for recently read blocks.
  int open_files_max = 512;                  ///< Files the engine keeps open at once.
};

}  // namespace parlance::storage
