#include "benchmarks/load/websocket_frames.h"

namespace parlance::benchmarks {
namespace {

constexpr uint8_t kFinal = 0x80;
constexpr uint8_t kReserved = 0x70;
constexpr uint8_t kMasked = 0x80;
constexpr uint8_t kLength16 = 126;
constexpr uint8_t kLength64 = 127;

void append_big_endian(std::string& out, uint64_t value, int bytes) {
  for (int shift = (bytes - 1) * 8; shift >= 0; shift -= 8) {
    out += static_cast<char>(value >> shift & 0xFF);
  }
}

uint64_t read_big_endian(std::string_view bytes) {
  uint64_t value = 0;
  for (const char byte : bytes) value = value << 8 | static_cast<uint8_t>(byte);
  return value;
}

}  // namespace

void append_client_frame(std::string& out, Opcode opcode, std::string_view payload) {
  out += static_cast<char>(kFinal | static_cast<uint8_t>(opcode));
  if (payload.size() < kLength16) {
    out += static_cast<char>(kMasked | payload.size());
  } else if (payload.size() <= UINT16_MAX) {
    out += static_cast<char>(kMasked | kLength16);
    append_big_endian(out, payload.size(), 2);
  } else {
    out += static_cast<char>(kMasked | kLength64);
    append_big_endian(out, payload.size(), 8);
  }
  out.append(4, '\0');
  out += payload;
}

ServerFrame parse_server_frame(std::string_view buffer, uint64_t payload_bytes_max) {
  ServerFrame frame;
  if (buffer.size() < 2) return frame;
  const auto first = static_cast<uint8_t>(buffer[0]);
  const auto second = static_cast<uint8_t>(buffer[1]);
  if ((first & kReserved) != 0 || (second & kMasked) != 0) {
    frame.state = ServerFrame::State::broken;
    return frame;
  }
  uint64_t length = second;
  size_t head = 2;
  if (length >= kLength16) {
    const size_t length_bytes = length == kLength16 ? 2 : 8;
    head += length_bytes;
    if (buffer.size() < head) return frame;
    length = read_big_endian(buffer.substr(2, length_bytes));
  }
  if (length > payload_bytes_max) {
    frame.state = ServerFrame::State::broken;
    return frame;
  }
  if (buffer.size() - head < length) return frame;
  frame.state = ServerFrame::State::complete;
  frame.final = (first & kFinal) != 0;
  frame.opcode = static_cast<Opcode>(first & 0x0F);
  frame.payload = buffer.substr(head, length);
  frame.bytes = head + length;
  return frame;
}

}  // namespace parlance::benchmarks
