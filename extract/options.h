// Limits of reading documents, of one request. See extract/extractor.h.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>

namespace parlance::extract {

struct Options {
  /// Path of the program parlance-extract. Empty: the one beside the running program.
  std::string program;

  /// Bytes of one file as it comes. Larger ones are refused before a process sees them.
  std::size_t file_bytes_max = std::size_t{64} << 20;

  /// Bytes of text of one file. At most 256 MiB. Raise it, and memory_bytes_max with it, for
  /// files of more than about ten thousand pages.
  std::size_t text_bytes_max = std::size_t{32} << 20;

  /// Bytes of text of all files of a request together, which the caller holds in memory.
  std::size_t batch_text_bytes_max = std::size_t{128} << 20;

  /// Address space of the process that reads documents. Its libraries take about 80 MiB of it.
  std::size_t memory_bytes_max = std::size_t{512} << 20;

  /// CPU time that the process may use. A file has at least half of it: after that much the process
  /// gives way to a new one between two files.
  std::chrono::seconds cpu_max{20};

  /// Wall time for one file; for the first one the start of the process comes on top, with the same
  /// limit again.
  std::chrono::milliseconds file_timeout{30'000};
};

}  // namespace parlance::extract
