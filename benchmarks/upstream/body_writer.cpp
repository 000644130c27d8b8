#include "benchmarks/upstream/body_writer.h"

#include <iterator>

#include <fmt/format.h>

namespace parlance::benchmarks {

void BodyWriter::begin(const Behaviour& behaviour, bool chunked) {
  chunked_ = chunked;
  cut_at_byte_ = behaviour.cut_at_byte.value_or(UINT64_MAX);
  split_bytes_ = behaviour.split_bytes;
  body_bytes_ = 0;
  cut_reached_ = cut_at_byte_ == 0;
  held_.clear();
  held_sent_ = 0;
}

void BodyWriter::put(std::string_view bytes, std::string& out) {
  if (split_bytes_ > 0) {
    held_ += bytes;
  } else {
    frame(bytes, out);
  }
}

void BodyWriter::put_piece(std::string& out) {
  const std::string_view piece = std::string_view(held_).substr(held_sent_, split_bytes_);
  frame(piece, out);
  held_sent_ += piece.size();
  if (held_sent_ == held_.size()) {
    held_.clear();
    held_sent_ = 0;
  }
}

void BodyWriter::frame(std::string_view bytes, std::string& out) {
  if (bytes.empty() || cut_reached_) return;
  // A cut comes in the middle of a chunk, as it would on a real connection.
  if (chunked_) fmt::format_to(std::back_inserter(out), "{:x}\r\n", bytes.size());
  if (body_bytes_ + bytes.size() >= cut_at_byte_) {
    bytes = bytes.substr(0, cut_at_byte_ - body_bytes_);
    cut_reached_ = true;
  }
  body_bytes_ += bytes.size();
  out += bytes;
  if (chunked_ && !cut_reached_) out += "\r\n";
}

void BodyWriter::finish(std::string& out) {
  if (chunked_ && !cut_reached_) out += "0\r\n\r\n";
}

}  // namespace parlance::benchmarks
