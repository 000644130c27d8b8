#include "dialects/raw_member.h"

namespace parlance::dialects {
namespace {

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

std::size_t skip_blanks(std::string_view text, std::size_t at) {
  while (at < text.size() && is_blank(text[at])) ++at;
  return at;
}

/// `at` is the place of a quote; returns the place behind the closing one, or the end.
std::size_t skip_string(std::string_view text, std::size_t at) {
  for (++at; at < text.size(); ++at) {
    if (text[at] == '"') return at + 1;
    if (text[at] == '\\') ++at;
  }
  return text.size();
}

/// Behind the value that begins at `at`: at the comma or bracket that ends it, or at the end.
std::size_t skip_value(std::string_view text, std::size_t at) {
  std::size_t depth = 0;
  while (at < text.size()) {
    const char c = text[at];
    if (c == '"') {
      at = skip_string(text, at);
      continue;
    }
    if (c == '{' || c == '[') ++depth;
    if (c == '}' || c == ']') {
      if (depth == 0) return at;
      --depth;
    }
    if (c == ',' && depth == 0) return at;
    ++at;
  }
  return at;
}

}  // namespace

std::optional<RawMember> find_raw_member(std::string_view object, std::string_view name) {
  std::size_t at = skip_blanks(object, 0);
  if (at == object.size() || object[at] != '{') return std::nullopt;
  std::optional<RawMember> found;
  while (true) {
    at = skip_blanks(object, at + 1);
    if (at >= object.size() || object[at] != '"') return found;
    const std::size_t key = at + 1;
    at = skip_string(object, at);
    const std::string_view key_text = object.substr(key, at - key - 1);
    at = skip_blanks(object, at);
    if (at >= object.size() || object[at] != ':') return found;
    const std::size_t begin = skip_blanks(object, at + 1);
    at = skip_value(object, begin);
    if (key_text == name) {
      std::size_t end = at;
      while (end > begin && is_blank(object[end - 1])) --end;
      found = RawMember{begin, end - begin};
    }
    if (at >= object.size() || object[at] != ',') return found;
  }
}

}  // namespace parlance::dialects
