// Options of documents: how they are cut into passages, and where passages are found again.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>

namespace parlance::rag {

struct Options {
  // ---- Passages ----

  std::size_t passage_tokens =
      1'000;                         ///< Of one passage, about; see chunker.h for what a token is.
  std::size_t overlap_tokens = 200;  ///< That a passage shares with the one before it.

  // ---- Where passages are found (`vector_db`) ----

  enum class Backend : unsigned char {
    embedded,  ///< In the store of this process (`in_memory` and `storage`).
    chroma,    ///< In a Chroma server (`remote`), by its HTTP API v2.
  };
  Backend backend = Backend::embedded;
  std::string chroma_url;  ///< "http://host:port" or "https://host:port".
  std::chrono::milliseconds connect_timeout{2'000};
  std::chrono::milliseconds request_timeout{15'000};

  /// Memory for the indexes of sessions that were asked lately; the longest unused are let go and
  /// made again from the store when they are asked for.
  std::size_t index_bytes_max = 1 << 30;
  /// Of the vectors of one session and tool, up to which the search is exact; past it a graph
  /// (HNSW) answers. As much as a core reads in some ten milliseconds: 51,200 hashed vectors, or
  /// 17,000 of 1,536 dimensions. A graph of as many takes minutes to make.
  std::size_t exact_vector_bytes_max = 100 << 20;
};

}  // namespace parlance::rag
