// One part of a multipart/form-data body: a text, or a file that is read piece by piece while it is
// sent, so that it is never in memory as a whole. A value; the transfer that sends it owns it.
// Source: RFC 7578.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "base/result.h"

namespace parlance::http {

struct FormPart {
  /// Fills `into` with the bytes from `at` on and tells how many; fewer than fit are fine, none is
  /// not. Runs on the loop's thread like a callback: not after the transfer was cancelled. A
  /// request that curl must send again is read again. An error ends the transfer with it.
  using Read = std::function<Result<std::size_t>(std::uint64_t at, std::span<char> into)>;

  std::string name;
  std::string text = {};  ///< What is sent where there is no `read`.

  Read read = {};
  std::uint64_t bytes = 0;        ///< How many `read` has.
  std::string file_name = {};     ///< Likewise of a file only.
  std::string content_type = {};  ///< Without line breaks.
};

}  // namespace parlance::http
