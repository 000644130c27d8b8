#include "base/json.h"

#include <charconv>
#include <cstring>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <rapidjson/error/en.h>

namespace parlance::json {
namespace {

Error invalid_at(std::size_t offset, std::string_view why) {
  return {Errc::invalid_argument, fmt::format("not valid JSON at byte {}: {}", offset, why)};
}

/// The half of a surrogate pair that the escape at the start of `text` names: 'h'igh, 'l'ow, or 0.
char surrogate_half(std::string_view text) {
  if (text.size() < 4 || text[1] != 'u' || (text[2] | 0x20) != 'd') return 0;
  const int digit = text[3] | 0x20;
  if (digit == '8' || digit == '9' || digit == 'a' || digit == 'b') return 'h';
  return digit >= 'c' && digit <= 'f' ? 'l' : 0;
}

/// What RapidJSON 1.1 lets pass: any nesting, though destroying or walking a deep document
/// recurses; whatever stands behind a zero byte, which it takes for the end; and an escape that
/// names a low surrogate alone, which it turns into ill-formed UTF-8.
std::optional<Error> find_flaw(std::string_view text) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\0') return invalid_at(i, "A zero byte.");
    if (in_string) {
      if (c == '\\') {
        const char half = surrogate_half(text.substr(i));
        if (half == 'l') return invalid_at(i, "Half a surrogate pair in string.");
        // Over the other half, which RapidJSON asks for.
        i += half == 'h' ? 7 : 1;
      } else if (c == '"') {
        in_string = false;
      }
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kDepthMax) {
        return Error{Errc::invalid_argument,
                     fmt::format("JSON nested deeper than {} levels", kDepthMax)};
      }
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return std::nullopt;
}

/// Length of the well-formed UTF-8 sequence at the start of `bytes`; 0 when it is ill-formed.
std::size_t sequence_length(std::string_view bytes) noexcept {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const auto continues = [&](std::size_t i) { return i < bytes.size() && (at(i) & 0xc0) == 0x80; };
  const unsigned char lead = at(0);
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) return continues(1) ? 2 : 0;
  if (lead >= 0xe0 && lead <= 0xef) {
    if (!continues(1) || !continues(2)) return 0;
    if (lead == 0xe0 && at(1) < 0xa0) return 0;  // Overlong.
    if (lead == 0xed && at(1) > 0x9f) return 0;  // A surrogate.
    return 3;
  }
  if (lead >= 0xf0 && lead <= 0xf4) {
    if (!continues(1) || !continues(2) || !continues(3)) return 0;
    if (lead == 0xf0 && at(1) < 0x90) return 0;  // Overlong.
    if (lead == 0xf4 && at(1) > 0x8f) return 0;  // Above U+10FFFF.
    return 4;
  }
  return 0;
}

/// Bytes at the start of `bytes` that are ASCII, eight at a time.
std::size_t ascii_prefix(std::string_view bytes) noexcept {
  std::size_t i = 0;
  while (i + 8 <= bytes.size()) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + i, 8);
    if ((word & 0x8080808080808080ULL) != 0) break;
    i += 8;
  }
  return i;
}

}  // namespace

Result<rapidjson::Document> parse(std::string_view text) {
  if (auto flaw = find_flaw(text)) return std::move(*flaw);
  rapidjson::Document document;
  document.Parse<rapidjson::kParseValidateEncodingFlag | rapidjson::kParseFullPrecisionFlag>(
      text.data(), text.size());
  if (document.HasParseError()) {
    return invalid_at(document.GetErrorOffset(),
                      rapidjson::GetParseError_En(document.GetParseError()));
  }
  return document;
}

void append_string(std::string& out, std::string_view text) {
  constexpr char kDigits[] = "0123456789abcdef";
  out += '"';
  std::size_t copied = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte >= 0x20 && byte != '"' && byte != '\\') continue;
    out.append(text, copied, i - copied);
    copied = i + 1;
    switch (byte) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\b':
        out += "\\b";
        break;
      case '\f':
        out += "\\f";
        break;
      default:
        out += "\\u00";
        out += kDigits[byte >> 4];
        out += kDigits[byte & 15];
    }
  }
  out.append(text, copied, text.size() - copied);
  out += '"';
}

void append_int(std::string& out, std::int64_t number) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
  out.append(digits, end);
}

const rapidjson::Value* find_string(const rapidjson::Value& object, const char* name) {
  if (!object.IsObject()) return nullptr;
  const auto it = object.FindMember(name);
  if (it == object.MemberEnd() || !it->value.IsString()) return nullptr;
  return &it->value;
}

bool valid_utf8(std::string_view bytes) noexcept {
  while (!bytes.empty()) {
    const std::size_t ascii = ascii_prefix(bytes);
    bytes.remove_prefix(ascii);
    if (bytes.empty()) break;
    const std::size_t length = sequence_length(bytes);
    if (length == 0) return false;
    bytes.remove_prefix(length);
  }
  return true;
}

std::string to_valid_utf8(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  while (!bytes.empty()) {
    const std::size_t length = sequence_length(bytes);
    if (length == 0) {
      out += "\xef\xbf\xbd";
      bytes.remove_prefix(1);
    } else {
      out.append(bytes.substr(0, length));
      bytes.remove_prefix(length);
    }
  }
  return out;
}

}  // namespace parlance::json
