#include "extract/text_kind.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <optional>

#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>

namespace parlance::extract {
namespace {

constexpr std::string_view kBlanks = " \t\r\n";
constexpr std::size_t kHeadBytes = 64 << 10;  // Enough of a text to tell its kind.

std::string_view without_blanks(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
  return text;
}

bool starts_with_nocase(std::string_view text, std::string_view lower) {
  return text.size() >= lower.size() &&
         std::equal(lower.begin(), lower.end(), text.begin(), [](char a, char b) {
           return a == std::tolower(static_cast<unsigned char>(b));
         });
}

/// Takes the next line off `text`, without its end.
std::string_view take_line(std::string_view& text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

// ---- JSON ----

struct DepthCounter : rapidjson::BaseReaderHandler<rapidjson::UTF8<>, DepthCounter> {
  explicit DepthCounter(int depth_max) : depth_max(depth_max) {}
  bool StartObject() { return ++depth <= depth_max; }
  bool EndObject(rapidjson::SizeType) { return --depth >= 0; }
  bool StartArray() { return ++depth <= depth_max; }
  bool EndArray(rapidjson::SizeType) { return --depth >= 0; }
  int depth = 0;
  int depth_max;
};

/// Whether `text` can only have been meant as JSON, as opposed to "[a note]" or "[[a link]]".
bool begins_as_json(std::string_view text) {
  const std::size_t brackets = std::min(text.find_first_not_of("[ \t\r\n"), text.size());
  const bool array = text.substr(0, brackets).find('[') != std::string_view::npos;
  text.remove_prefix(brackets);
  if (!text.starts_with('{')) return array && text.starts_with('"');
  text = without_blanks(text.substr(1));
  if (!text.starts_with('"')) return false;
  const std::size_t quote = text.find('"', 1);
  return quote != std::string_view::npos && without_blanks(text.substr(quote + 1)).starts_with(':');
}

/// One JSON value, or one per line. Nothing when it is no JSON and was hardly meant to be.
std::optional<Extracted<TextKind>> check_json(std::string_view text, const Limits& limits) {
  text = without_blanks(text);
  if (text.empty() || (text.front() != '{' && text.front() != '[')) return std::nullopt;
  rapidjson::MemoryStream bytes(text.data(), text.size());
  constexpr unsigned kFlags = rapidjson::kParseIterativeFlag | rapidjson::kParseStopWhenDoneFlag |
                              rapidjson::kParseValidateEncodingFlag |
                              rapidjson::kParseNumbersAsStringsFlag;
  for (;;) {
    const std::string_view rest = without_blanks(text.substr(bytes.Tell()));
    if (rest.empty()) return TextKind::json;
    rapidjson::Reader reader;
    DepthCounter counter(limits.depth_max);
    if (reader.Parse<kFlags>(bytes, counter)) continue;
    if (reader.GetParseErrorCode() == rapidjson::kParseErrorTermination) return Outcome::too_deep;
    if (begins_as_json(rest)) return Outcome::broken;
    return std::nullopt;
  }
}

// ---- HTML and Markdown ----

bool looks_like_markdown(std::string_view text) {
  int headings = 0;
  int marks = 0;
  bool fence = false;
  for (std::string_view rest = text.substr(0, kHeadBytes); !rest.empty();) {
    const std::string_view line = without_blanks(take_line(rest));
    const std::size_t hashes = std::min(line.find_first_not_of('#'), line.size());
    if (line.starts_with("```") || line.starts_with("~~~")) {
      if (fence) ++marks;
      fence = !fence;
    } else if (!fence) {
      if (hashes >= 1 && hashes <= 6 && line.size() > hashes && line[hashes] == ' ') ++headings;
      if (line.find("](") != std::string_view::npos) ++marks;
      if (line.starts_with("- ") || line.starts_with("* ") || line.starts_with("> ")) ++marks;
      if (line.find("**") != line.rfind("**")) ++marks;
      if (line.starts_with("|") && line.find("---") != std::string_view::npos) ++marks;
      if (line.starts_with("===") && line.find_first_not_of('=') == std::string_view::npos) ++marks;
    }
  }
  return (headings >= 1 && headings + marks >= 2) || marks >= 3;
}

bool looks_like_html(std::string_view text) {
  std::string_view head = without_blanks(text.substr(0, kHeadBytes));
  if (starts_with_nocase(head, "<?xml")) {
    head.remove_prefix(std::min(head.find('>'), head.size() - 1) + 1);
    head = without_blanks(head);
  }
  while (head.starts_with("<!--")) {
    const std::size_t end = head.find("-->");
    if (end == std::string_view::npos) return false;
    head = without_blanks(head.substr(end + 3));
  }
  for (const std::string_view whole : {"<!doctype html", "<html", "<head", "<body"}) {
    if (starts_with_nocase(head, whole)) return true;
  }
  // Pieces of HTML; Markdown begins with such tags, too.
  constexpr std::array<std::string_view, 19> kTags = {
      "title", "meta", "style", "script", "div",     "p",       "table", "h1",   "h2", "h3",
      "ul",    "ol",   "a",     "span",   "section", "article", "main",  "font", "b"};
  if (!head.starts_with('<') || head.find("</") == std::string_view::npos) return false;
  const bool tag = std::any_of(kTags.begin(), kTags.end(), [&](std::string_view name) {
    if (!starts_with_nocase(head.substr(1), name) || head.size() <= name.size() + 1) return false;
    const char next = head[name.size() + 1];
    return next == '>' || next == ' ' || next == '\n' || next == '\t' || next == '\r';
  });
  return tag && !looks_like_markdown(text);
}

// ---- CSV ----

/// Counts the fields of one record (RFC 4180) and takes it off `text`; 0 when its quotes are wrong.
std::size_t take_record(std::string_view& text, char separator) {
  std::size_t fields = 1;
  std::size_t i = 0;
  bool quoted = false;
  bool field_begins = true;
  for (; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '"' && i + 1 < text.size() && text[i + 1] == '"') {
        ++i;
      } else if (c == '"') {
        quoted = false;
      }
      continue;
    }
    if (c == '\n') break;
    if (c == separator) ++fields;
    if (c == '"' && field_begins) quoted = true;
    field_begins = c == separator;
  }
  text.remove_prefix(std::min(i + 1, text.size()));
  return quoted ? 0 : fields;
}

bool looks_like_csv(std::string_view text, char separator) {
  constexpr std::size_t kRecords = 200;
  std::size_t fields = 0;
  std::size_t records = 0;
  while (!text.empty() && records < kRecords) {
    if (text.front() == '\n' || text.starts_with("\r\n")) {
      take_line(text);
      continue;
    }
    const std::size_t now = take_record(text, separator);
    if (now < 2 || (records > 0 && now != fields)) return false;
    fields = now;
    ++records;
  }
  return records >= 2;
}

}  // namespace

Extracted<TextKind> kind_of_text(std::string_view text, const Limits& limits) {
  if (text.starts_with("{\\rtf")) return TextKind::rich_text;
  if (text.starts_with("%!PS")) return TextKind::postscript;
  if (auto json = check_json(text, limits)) return *json;
  if (looks_like_html(text)) return TextKind::html;
  for (const char separator : {',', ';', '\t', '|'}) {
    // A table of Markdown has bars at both ends.
    if (separator == '|' && without_blanks(text).starts_with('|')) continue;
    if (looks_like_csv(text, separator)) return TextKind::csv;
  }
  return looks_like_markdown(text) ? TextKind::markdown : TextKind::plain;
}

const char* mime_type(TextKind kind) noexcept {
  switch (kind) {
    case TextKind::plain:
      return "text/plain";
    case TextKind::markdown:
      return "text/markdown";
    case TextKind::csv:
      return "text/csv";
    case TextKind::json:
      return "application/json";
    case TextKind::html:
      return "text/html";
    case TextKind::rich_text:
      return "text/rtf";
    case TextKind::postscript:
      return "application/postscript";
  }
  return "text/plain";
}

}  // namespace parlance::extract
