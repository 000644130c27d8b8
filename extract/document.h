// What the parsers of parlance-extract share: their limits and how they refuse. They run in the
// confined process, on its only thread.
#pragma once

#include <cstddef>
#include <string>

#include <boost/system/result.hpp>

#include "extract/frame.h"

namespace parlance::extract {

/// Beyond any honest document, within the memory and time that the process has.
struct Limits {
  std::size_t text_bytes_max = std::size_t{32} << 20;

  /// Bytes out of one archive, all parts that are read together.
  std::size_t inflated_bytes_max = std::size_t{128} << 20;

  /// How much larger a part may be than what it was packed into; counts from inflated_bytes_free.
  std::size_t ratio_max = 200;
  std::size_t inflated_bytes_free = std::size_t{1} << 20;

  std::size_t entries_max = 10'000;  ///< Of an archive.
  int depth_max = 256;               ///< Nesting of elements, arrays and objects.
  int pages_max = 10'000;            ///< Of a PDF.
};

/// A value, or why there is none (never Outcome::text).
template <class T>
using Extracted = boost::system::result<T, Outcome>;

/// The answer for one file.
struct Document {
  Outcome outcome = Outcome::broken;
  std::string type;  ///< MIME. Also with a refusal, when it was found.
  std::string text;  ///< Only with Outcome::text.
};

}  // namespace parlance::extract
