// Server-sent events, incrementally: bytes in, events out, however the bytes are cut.
// One per response, owned by the call that reads it; on that core's thread.
//
// Invariants: the events, and whether a limit is hit, depend on the bytes alone, not on how they
// are divided over calls of `feed`. An event whose lines lie whole in one chunk is not copied. An
// event without its closing blank line at the end of the response is not an event.
// Source: HTML standard, "Server-sent events", sections 9.2.5 and 9.2.6.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

namespace parlance::llm {

/// One event. The views hold during the callback only.
struct SseEvent {
  std::string_view type;  ///< "message" when the stream names none.
  std::string_view data;  ///< The data lines, joined by line feeds.
  std::string_view id;    ///< The last id seen in the stream, of this event or an earlier one.
};

class SseParser {
 public:
  enum class Outcome : unsigned char {
    more,     ///< All bytes were taken.
    stopped,  ///< The callback returned false; the parser must not be fed again.
    too_big,  ///< A line or an event's data is over the limit; likewise.
  };

  /// `bytes_max` bounds one line, without its end, and the data of one event.
  explicit SseParser(std::size_t bytes_max) : bytes_max_(bytes_max) {}

  /// Parses `chunk` and calls `on_event(const SseEvent&)` for each event it completes, until that
  /// returns false.
  template <class OnEvent>
  Outcome feed(std::string_view chunk, OnEvent&& on_event);

  /// Reconnection time asked for by the stream, in milliseconds.
  std::optional<std::uint64_t> retry_ms() const { return retry_ms_; }

 private:
  /// Takes one line without its end. True when it completes an event.
  bool take_line(std::string_view line);
  void take_field(std::string_view name, std::string_view value);
  void append_data(std::string_view value);
  std::string_view data() const { return data_is_view_ ? data_view_ : std::string_view(data_); }
  void clear_event();
  /// Moves what points into the chunk to memory of our own.
  void keep_data();

  const std::size_t bytes_max_;
  std::string line_;  // The start of a line that the next chunk goes on with.
  std::string_view data_view_;
  std::string data_;
  std::string type_;
  std::string id_;
  std::optional<std::uint64_t> retry_ms_;
  bool has_data_ = false;
  bool data_is_view_ = false;
  bool data_too_big_ = false;
  bool after_cr_ = false;  // A line feed that comes next belongs to the line end already seen.
  bool at_start_ = true;   // No line has been taken yet: a byte order mark may come.
};

template <class OnEvent>
SseParser::Outcome SseParser::feed(std::string_view chunk, OnEvent&& on_event) {
  const char* at = chunk.data();
  const char* const end = at + chunk.size();
  const auto find = [end](const char* from, char c) {
    const void* found = from == end ? nullptr : std::memchr(from, c, std::size_t(end - from));
    return found == nullptr ? end : static_cast<const char*>(found);
  };
  if (after_cr_ && at != end) {
    if (*at == '\n') ++at;
    after_cr_ = false;
  }
  // Each search result stays good until it is passed, so that a chunk is searched once per byte.
  const char* line_feed = find(at, '\n');
  const char* carriage_return = find(at, '\r');
  while (at != end) {
    if (line_feed < at) line_feed = find(at, '\n');
    if (carriage_return < at) carriage_return = find(at, '\r');
    const char* const line_end = line_feed < carriage_return ? line_feed : carriage_return;
    const std::string_view piece(at, std::size_t(line_end - at));
    if (piece.size() > bytes_max_ - line_.size()) return Outcome::too_big;
    if (line_end == end) {
      line_ += piece;
      break;
    }
    bool complete = false;
    if (line_.empty()) {
      complete = take_line(piece);
    } else {
      line_ += piece;
      complete = take_line(line_);
      keep_data();
      line_.clear();
    }
    at = line_end + 1;
    if (*line_end == '\r') {
      if (at == end) {
        after_cr_ = true;
      } else if (*at == '\n') {
        ++at;
      }
    }
    if (data_too_big_) return Outcome::too_big;
    if (complete) {
      const bool go_on = on_event(SseEvent{
          type_.empty() ? std::string_view("message") : std::string_view(type_), data(), id_});
      if (!go_on) return Outcome::stopped;
      clear_event();
    }
  }
  keep_data();
  return Outcome::more;
}

}  // namespace parlance::llm
