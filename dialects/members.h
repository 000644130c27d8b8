// Reads the few top-level string members that a dialect cares about out of one JSON object,
// without building a document. Pure; any thread.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace parlance::dialects {

/// One member to look for. `kind` and `text` are filled in by read_members.
struct Member {
  enum class Kind : unsigned char { absent, null, text, other };

  std::string_view name;
  Kind kind = Kind::absent;
  std::string text = {};  ///< Valid UTF-8; only with Kind::text.
};

/// Parses `json`, which must be one object, and fills in `members`; other members are ignored, and
/// of a repeated name the last counts.
/// Errors: invalid_argument with a sentence (bad syntax with its byte offset, not an object, deeper
/// than json::kDepthMax, a wanted string that is not valid UTF-8).
Status read_members(std::string_view json, std::span<Member> members);

}  // namespace parlance::dialects
