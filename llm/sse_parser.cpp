#include "llm/sse_parser.h"

#include <charconv>

namespace parlance::llm {

bool SseParser::take_line(std::string_view line) {
  if (at_start_) {
    at_start_ = false;
    constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
    if (line.starts_with(kByteOrderMark)) line.remove_prefix(kByteOrderMark.size());
  }
  if (line.empty()) {
    if (has_data_) return true;
    clear_event();
    return false;
  }
  const std::size_t colon = line.find(':');
  if (colon == 0) return false;  // A comment.
  if (colon == std::string_view::npos) {
    take_field(line, {});
    return false;
  }
  std::string_view value = line.substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);
  take_field(line.substr(0, colon), value);
  return false;
}

void SseParser::take_field(std::string_view name, std::string_view value) {
  if (name == "data") {
    append_data(value);
  } else if (name == "event") {
    type_ = value;
  } else if (name == "id") {
    if (value.find('\0') == std::string_view::npos) id_ = value;
  } else if (name == "retry") {
    std::uint64_t ms = 0;
    const auto [rest, error] = std::from_chars(value.data(), value.data() + value.size(), ms);
    if (error == std::errc() && rest == value.data() + value.size()) retry_ms_ = ms;
  }
}

void SseParser::append_data(std::string_view value) {
  if (!has_data_) {
    has_data_ = true;
    data_is_view_ = true;
    data_view_ = value;
    return;
  }
  keep_data();
  if (value.size() + 1 > bytes_max_ - data_.size()) {
    data_too_big_ = true;
    return;
  }
  data_ += '\n';
  data_ += value;
}

void SseParser::clear_event() {
  has_data_ = false;
  data_is_view_ = false;
  data_.clear();
  type_.clear();
}

void SseParser::keep_data() {
  if (!data_is_view_) return;
  data_.assign(data_view_);
  data_is_view_ = false;
}

}  // namespace parlance::llm
