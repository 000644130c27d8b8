#pragma once
// How the bytes of a response body become what is sent: chunked framing or none, split into pieces,
// cut at a byte, as a behaviour says. Pure; appends to the connection's output.

#include <cstdint>
#include <string>
#include <string_view>

#include "benchmarks/upstream/script.h"

namespace parlance::benchmarks {

class BodyWriter {
 public:
  /// Begins a body that is shaped by `behaviour`.
  void begin(const Behaviour& behaviour, bool chunked);

  /// Takes body bytes: appends them framed to `out`, or holds them where they are to be split.
  void put(std::string_view bytes, std::string& out);

  /// What is held goes out piece by piece, each to be sent by itself.
  bool holds_pieces() const { return !held_.empty() && !cut_reached_; }
  void put_piece(std::string& out);

  /// Ends the body, unless it was cut.
  void finish(std::string& out);

  /// The connection is to end once what was put so far has been sent.
  bool cut_reached() const { return cut_reached_; }

 private:
  void frame(std::string_view bytes, std::string& out);

  bool chunked_ = false;
  uint64_t cut_at_byte_ = UINT64_MAX;
  size_t split_bytes_ = 0;
  uint64_t body_bytes_ = 0;
  bool cut_reached_ = false;
  std::string held_;
  size_t held_sent_ = 0;
};

}  // namespace parlance::benchmarks
