#include "benchmarks/support/http.h"

#include <algorithm>

namespace parlance::benchmarks {
namespace {

constexpr uint32_t kSizeDigitsMax = 15;

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char l = lower(c);
  return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

}  // namespace

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(),
                                            [](char x, char y) { return lower(x) == lower(y); });
}

std::optional<std::string_view> HttpHead::find(std::string_view name) const {
  std::string_view rest = headers;
  while (!rest.empty()) {
    const size_t end = rest.find("\r\n");
    const std::string_view line = rest.substr(0, end);
    const size_t colon = line.find(':');
    if (colon != std::string_view::npos && equal_ignoring_case(line.substr(0, colon), name)) {
      return trimmed(line.substr(colon + 1));
    }
    if (end == std::string_view::npos) break;
    rest.remove_prefix(end + 2);
  }
  return std::nullopt;
}

std::optional<HttpHead> parse_http_head(std::string_view buffer) {
  const size_t end = buffer.find("\r\n\r\n");
  if (end == std::string_view::npos) return std::nullopt;
  HttpHead result;
  result.bytes = end + 4;
  const size_t line_end = buffer.find("\r\n");
  result.start_line = buffer.substr(0, line_end);
  if (line_end < end) result.headers = buffer.substr(line_end + 2, end - line_end);
  return result;
}

void ChunkedDecoder::take_framing(char c) {
  switch (state_) {
    case State::size:
    case State::extension:
      if (c == '\n') {
        if (digits_ == 0) {
          state_ = State::failed;
        } else {
          state_ = left_ > 0 ? State::data : State::trailer;
        }
        digits_ = 0;
      } else if (state_ == State::size && hex_value(c) >= 0 && digits_ < kSizeDigitsMax) {
        left_ = left_ * 16 + static_cast<uint64_t>(hex_value(c));
        ++digits_;
      } else if (c == '\r' || c == ';' || state_ == State::extension) {
        state_ = State::extension;
      } else {
        state_ = State::failed;
      }
      break;
    case State::data_end:
      if (c == '\n') {
        state_ = State::size;
      } else if (c != '\r') {
        state_ = State::failed;
      }
      break;
    case State::trailer:
      if (c == '\n') {
        if (trailer_line_bytes_ == 0) state_ = State::done;
        trailer_line_bytes_ = 0;
      } else if (c != '\r') {
        ++trailer_line_bytes_;
      }
      break;
    case State::data:
    case State::done:
    case State::failed:
      break;
  }
}

}  // namespace parlance::benchmarks
