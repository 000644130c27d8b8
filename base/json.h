// The few JSON helpers that RapidJSON does not have: strict parsing with limits, and fast writing
// of strings into a growing buffer. RapidJSON documents are parsed with UTF-8 validation.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <rapidjson/document.h>

#include "base/result.h"

namespace parlance::json {

/// Depth beyond which a document is refused, so that no recursion follows the input.
inline constexpr int kDepthMax = 64;

/// Parses one whole JSON value. Errors: invalid_argument with the byte offset and the reason
/// (bad syntax, invalid UTF-8, deeper than kDepthMax, bytes after the value).
Result<rapidjson::Document> parse(std::string_view text);

/// Appends `text` as a JSON string with quotes. `text` must be valid UTF-8.
void append_string(std::string& out, std::string_view text);
void append_int(std::string& out, std::int64_t number);

/// The string member `name` of `object`, or nullptr when it is absent or not a string.
const rapidjson::Value* find_string(const rapidjson::Value& object, const char* name);

inline std::string_view view(const rapidjson::Value& string) {
  return {string.GetString(), string.GetStringLength()};
}

/// True when `bytes` is well-formed UTF-8.
bool valid_utf8(std::string_view bytes) noexcept;

/// `bytes` with every ill-formed sequence replaced by U+FFFD.
std::string to_valid_utf8(std::string_view bytes);

}  // namespace parlance::json
