// Text in the making, with a limit: what the parsers write to. Past the limit it takes nothing more
// and is `full`, which is how a document comes to be too large.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace parlance::extract {

class TextSink {
 public:
  explicit TextSink(std::size_t bytes_max) : bytes_max_(bytes_max) {}

  void append(std::string_view text) {
    if (full_ || text.size() > bytes_max_ - text_.size()) {
      full_ = true;
    } else {
      text_ += text;
    }
  }

  /// Takes back the spaces at the end.
  void trim() {
    while (!text_.empty() && text_.back() == ' ') text_.pop_back();
  }

  /// Begins a new line, unless one begins here.
  void end_line() {
    while (!text_.empty() && (text_.back() == ' ' || text_.back() == '\t')) text_.pop_back();
    if (!text_.empty() && text_.back() != '\n') append("\n");
  }

  /// Leaves an empty line, unless there is one or nothing yet.
  void end_block() {
    end_line();
    if (text_.size() > 1 && text_[text_.size() - 2] != '\n') append("\n");
  }

  /// True where a space would add nothing.
  bool at_blank() const {
    return text_.empty() || text_.back() == ' ' || text_.back() == '\n' || text_.back() == '\t';
  }

  bool full() const { return full_; }
  std::string take() { return std::move(text_); }

 private:
  std::size_t bytes_max_;
  std::string text_;
  bool full_ = false;
};

}  // namespace parlance::extract
