#pragma once
// The little of HTTP/1.1 that both ends of a benchmark need: finding a message head in a buffer,
// looking up a header, taking off chunked framing. Input is trusted to be short-lived and local;
// limits are still kept.

#include <cstdint>
#include <optional>
#include <string_view>

namespace parlance::benchmarks {

/// A view into the buffer that it was parsed from.
struct HttpHead {
  std::string_view start_line;
  std::string_view headers;  // lines with their CR LF, without the empty one
  size_t bytes = 0;          // of the whole head, its empty line included

  /// The value of the first header of that name (any case), or nothing.
  std::optional<std::string_view> find(std::string_view name) const;
};

/// The head at the front of `buffer`, or nothing while it is incomplete.
std::optional<HttpHead> parse_http_head(std::string_view buffer);

/// Equal but for ASCII case.
bool equal_ignoring_case(std::string_view a, std::string_view b);

/// Takes off "Transfer-Encoding: chunked", however the bytes are cut.
class ChunkedDecoder {
 public:
  /// Calls `sink(std::string_view)` for the body bytes in `input`; returns how many bytes of
  /// `input` belonged to this body. Stops at its end or at an error.
  template <class Sink>
  size_t feed(std::string_view input, Sink&& sink) {
    const size_t whole = input.size();
    while (!input.empty() && state_ != State::done && state_ != State::failed) {
      if (state_ == State::data) {
        const std::string_view piece = input.substr(0, left_);
        sink(piece);
        left_ -= piece.size();
        input.remove_prefix(piece.size());
        if (left_ == 0) state_ = State::data_end;
      } else {
        take_framing(input.front());
        input.remove_prefix(1);
      }
    }
    return whole - input.size();
  }

  bool done() const { return state_ == State::done; }
  bool failed() const { return state_ == State::failed; }
  void reset() { *this = ChunkedDecoder(); }

 private:
  enum class State { size, extension, data, data_end, trailer, done, failed };

  void take_framing(char c);

  State state_ = State::size;
  uint64_t left_ = 0;
  uint32_t digits_ = 0;
  uint32_t trailer_line_bytes_ = 0;
};

}  // namespace parlance::benchmarks
