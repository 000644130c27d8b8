#pragma once
// RFC 6455 framing for a client that must be cheap: messages go out as one masked frame, with a
// masking key of zero, so that masking is free (the server still unmasks); what comes in is cut
// into messages without copying where it can be. No extensions. Pure.

#include <cstdint>
#include <string>
#include <string_view>

namespace parlance::benchmarks {

enum class Opcode : uint8_t {
  continuation = 0,
  text = 1,
  binary = 2,
  close = 8,
  ping = 9,
  pong = 10
};

/// Appends `payload` as one final frame.
void append_client_frame(std::string& out, Opcode opcode, std::string_view payload);

/// A frame from the server at the front of a buffer. `payload` points into the buffer.
struct ServerFrame {
  enum class State { complete, incomplete, broken };

  State state = State::incomplete;
  bool final = false;
  Opcode opcode = Opcode::text;
  std::string_view payload;
  size_t bytes = 0;  // of the whole frame
};

/// Broken: a masked frame, reserved bits, or a payload over `payload_bytes_max`.
ServerFrame parse_server_frame(std::string_view buffer, uint64_t payload_bytes_max);

}  // namespace parlance::benchmarks
