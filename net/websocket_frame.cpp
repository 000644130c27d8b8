#include "net/websocket_frame.h"

#include <algorithm>
#include <cstring>

#include "base/json.h"

namespace parlance::net {
namespace {

constexpr std::size_t kHeaderBytesMax = 14;
constexpr std::size_t kReserveBytesMax = 16 << 10;

struct Header {
  bool fin = false;
  bool compressed = false;
  Opcode opcode = Opcode::continuation;
  std::uint32_t mask = 0;
  std::uint64_t payload_bytes = 0;
  std::size_t header_bytes = 0;
};

bool is_control(Opcode opcode) {
  return static_cast<std::uint8_t>(opcode) >= 8;
}

std::uint8_t byte_at(std::span<const char> bytes, std::size_t i) {
  return static_cast<std::uint8_t>(bytes[i]);
}

/// How long the header is, from its first two bytes. A client's frame always has a mask.
std::size_t header_size(std::uint8_t second) {
  const std::uint8_t length = second & 0x7f;
  return 2U + (length == 126 ? 2U : length == 127 ? 8U : 0U) + 4U;
}

/// What is wrong with the first two bytes alone.
std::optional<FrameError> check_start(std::uint8_t first, std::uint8_t second, bool may_compress) {
  const std::uint8_t opcode = first & 0x0f;
  const bool control = (opcode & 0x08) != 0;
  if (opcode > 10 || (opcode > 2 && opcode < 8)) return FrameError{.reason = "unknown opcode"};
  if ((first & 0x30) != 0) return FrameError{.reason = "reserved bits are set"};
  if ((first & 0x40) != 0 && (!may_compress || control || opcode == 0)) {
    return FrameError{.reason = "a compressed frame was not negotiated"};
  }
  if ((second & 0x80) == 0) return FrameError{.reason = "a client's frame must be masked"};
  if (control && (first & 0x80) == 0) return FrameError{.reason = "a fragmented control frame"};
  if (control && (second & 0x7f) > kControlBytesMax) {
    return FrameError{.reason = "a control frame over 125 bytes"};
  }
  return std::nullopt;
}

/// `bytes` holds a whole header that passed check_start.
std::optional<FrameError> parse_header(std::span<const char> bytes, Header& out) {
  const std::uint8_t first = byte_at(bytes, 0);
  out.fin = (first & 0x80) != 0;
  out.compressed = (first & 0x40) != 0;
  out.opcode = static_cast<Opcode>(first & 0x0f);
  out.header_bytes = header_size(byte_at(bytes, 1));
  const std::size_t length_bytes = out.header_bytes - 6;
  out.payload_bytes = length_bytes == 0 ? byte_at(bytes, 1) & 0x7f : 0;
  for (std::size_t i = 0; i < length_bytes; ++i) {
    out.payload_bytes = out.payload_bytes << 8 | byte_at(bytes, 2 + i);
  }
  std::memcpy(&out.mask, bytes.data() + out.header_bytes - 4, 4);
  if (length_bytes == 2 && out.payload_bytes < 126) {
    return FrameError{.reason = "a length not in its shortest form"};
  }
  if (length_bytes == 8 && (out.payload_bytes <= 0xffff || out.payload_bytes >> 63 != 0)) {
    return FrameError{.reason = "a length not in its shortest form"};
  }
  return std::nullopt;
}

/// True for codes that a peer may put into a close frame.
bool valid_close_code(std::uint16_t code) {
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
         (code >= 3000 && code <= 4999);
}

/// Hands a whole control frame to `handler`.
std::optional<FrameError> dispatch_control(Opcode opcode, std::string_view payload,
                                           FrameHandler& handler, bool& go_on) {
  if (opcode == Opcode::ping) {
    go_on = handler.on_ping(payload);
    return std::nullopt;
  }
  if (opcode == Opcode::pong) {
    go_on = handler.on_pong(payload);
    return std::nullopt;
  }
  if (payload.empty()) {
    go_on = handler.on_close(CloseCode::no_code, {});
    return std::nullopt;
  }
  if (payload.size() == 1) return FrameError{.reason = "a close frame of one byte"};
  const auto code = static_cast<std::uint16_t>(static_cast<std::uint8_t>(payload[0]) << 8 |
                                               static_cast<std::uint8_t>(payload[1]));
  const std::string_view reason = payload.substr(2);
  if (!valid_close_code(code)) return FrameError{.reason = "a close code that may not be sent"};
  if (!json::valid_utf8(reason)) {
    return FrameError{CloseCode::invalid_payload, "a close reason that is not UTF-8"};
  }
  go_on = handler.on_close(static_cast<CloseCode>(code), reason);
  return std::nullopt;
}

/// Makes room for `more` bytes in doubling steps, though for no more than is to come.
void make_room(std::string& message, std::size_t more, std::uint64_t to_come) {
  const std::size_t needed = message.size() + more;
  if (needed <= message.capacity()) return;
  const std::uint64_t whole = std::max<std::uint64_t>(needed, message.size() + to_come);
  // A string that has bytes already reserves twice what it has at least; one that has none does
  // not.
  std::string larger;
  larger.reserve(static_cast<std::size_t>(
      std::min<std::uint64_t>(whole, std::max(needed, 2 * message.capacity()))));
  larger += message;
  message = std::move(larger);
}

std::optional<FrameError> dispatch_message(Opcode opcode, bool compressed, std::string_view payload,
                                           std::size_t message_bytes_max, MessageInflater* inflater,
                                           FrameHandler& handler, bool& go_on) {
  std::string inflated;
  if (compressed) {
    bool too_big = false;
    std::optional<std::string> text = inflater->inflate(payload, message_bytes_max, too_big);
    if (too_big) return FrameError{CloseCode::too_big, "the message is too big"};
    if (!text) return FrameError{CloseCode::invalid_payload, "compressed bytes are broken"};
    inflated = std::move(*text);
    payload = inflated;
  }
  if (opcode == Opcode::text && !json::valid_utf8(payload)) {
    return FrameError{CloseCode::invalid_payload, "the text is not UTF-8"};
  }
  go_on = handler.on_message(opcode, payload);
  return std::nullopt;
}

}  // namespace

/// A frame that is cut off, and the fragments before it.
struct FrameReader::Partial {
  char header_bytes[kHeaderBytesMax] = {};
  std::uint8_t header_filled = 0;
  bool header_whole = false;
  bool in_message = false;          ///< Between the first and the last fragment.
  bool message_compressed = false;  ///< Of the fragmented message.
  Opcode message_opcode = Opcode::text;
  Header header;
  std::uint64_t payload_filled = 0;
  std::string message;  ///< Unmasked payload of the data frames so far.
  std::string control;  ///< Unmasked payload of the control frame so far.
  Utf8Checker utf8;
};

FrameReader::FrameReader() = default;
FrameReader::~FrameReader() = default;
FrameReader::FrameReader(FrameReader&&) noexcept = default;
FrameReader& FrameReader::operator=(FrameReader&&) noexcept = default;

std::size_t FrameReader::buffered_bytes() const noexcept {
  if (!partial_) return 0;
  return sizeof(Partial) + partial_->message.capacity() + partial_->control.capacity();
}

std::size_t FrameReader::received_bytes() const noexcept {
  return partial_ ? partial_->message.size() : 0;
}

FrameReader::Outcome FrameReader::read(std::span<char> input, std::size_t message_bytes_max,
                                       FrameHandler& handler, MessageInflater* inflater) {
  Outcome outcome;
  bool go_on = true;
  const auto rest = [&] { return input.subspan(outcome.consumed); };
  while (go_on && !rest().empty()) {
    const std::span<char> bytes = rest();

    // The usual case: nothing is kept and the whole frame is here. It is read where it lies.
    if (!partial_ && bytes.size() >= 6) {
      if ((outcome.error =
               check_start(byte_at(bytes, 0), byte_at(bytes, 1), inflater != nullptr))) {
        return outcome;
      }
      Header header;
      if (bytes.size() >= header_size(byte_at(bytes, 1))) {
        if ((outcome.error = parse_header(bytes, header))) return outcome;
        const bool whole = bytes.size() - header.header_bytes >= header.payload_bytes;
        if (whole && header.fin && header.opcode != Opcode::continuation) {
          if (!is_control(header.opcode) && header.payload_bytes > message_bytes_max) {
            outcome.error = FrameError{CloseCode::too_big, "the message is too big"};
            return outcome;
          }
          const std::span<char> payload =
              bytes.subspan(header.header_bytes, static_cast<std::size_t>(header.payload_bytes));
          apply_mask(payload, header.mask, 0);
          outcome.consumed += header.header_bytes + payload.size();
          const std::string_view view(payload.data(), payload.size());
          outcome.error = is_control(header.opcode)
                              ? dispatch_control(header.opcode, view, handler, go_on)
                              : dispatch_message(header.opcode, header.compressed, view,
                                                 message_bytes_max, inflater, handler, go_on);
          if (outcome.error) return outcome;
          continue;
        }
      }
    }

    // A frame that is cut off, or part of a fragmented message.
    if (!partial_) partial_ = std::make_unique<Partial>();
    Partial& p = *partial_;
    if (!p.header_whole) {
      p.header_bytes[p.header_filled++] = bytes[0];
      ++outcome.consumed;
      if (p.header_filled < 2) continue;
      const std::uint8_t second = byte_at(p.header_bytes, 1);
      if (p.header_filled == 2 &&
          (outcome.error = check_start(byte_at(p.header_bytes, 0), second, inflater != nullptr))) {
        return outcome;
      }
      if (p.header_filled < header_size(second)) continue;
      if ((outcome.error = parse_header(p.header_bytes, p.header))) return outcome;
      p.header_whole = true;
      p.payload_filled = 0;
      if (!is_control(p.header.opcode)) {
        if ((p.header.opcode == Opcode::continuation) != p.in_message) {
          outcome.error =
              FrameError{.reason = p.in_message ? "a new message inside a fragmented one"
                                                : "a continuation of nothing"};
          return outcome;
        }
        if (p.header.payload_bytes > message_bytes_max - p.message.size()) {
          outcome.error = FrameError{CloseCode::too_big, "the message is too big"};
          return outcome;
        }
        if (!p.in_message) {
          p.message_opcode = p.header.opcode;
          p.message_compressed = p.header.compressed;
          if (p.header.payload_bytes <= kReserveBytesMax) {
            p.message.reserve(static_cast<std::size_t>(p.header.payload_bytes));
          }
        }
      }
    }

    const bool control = is_control(p.header.opcode);
    const std::span<char> payload = rest().first(static_cast<std::size_t>(
        std::min<std::uint64_t>(rest().size(), p.header.payload_bytes - p.payload_filled)));
    apply_mask(payload, p.header.mask, static_cast<std::size_t>(p.payload_filled & 3));
    const std::string_view view(payload.data(), payload.size());
    if (!control) make_room(p.message, view.size(), p.header.payload_bytes - p.payload_filled);
    (control ? p.control : p.message).append(view);
    outcome.consumed += payload.size();
    p.payload_filled += payload.size();
    if (!control && p.message_opcode == Opcode::text && !p.message_compressed &&
        !p.utf8.feed(view)) {
      outcome.error = FrameError{CloseCode::invalid_payload, "the text is not UTF-8"};
      return outcome;
    }
    if (p.payload_filled < p.header.payload_bytes) continue;

    // The frame is whole. What it leaves behind is taken out first: the handler may stop us.
    p.header_whole = false;
    p.header_filled = 0;
    if (control) {
      const std::string control_payload = std::exchange(p.control, {});
      const Opcode opcode = p.header.opcode;
      if (!p.in_message) partial_.reset();
      outcome.error = dispatch_control(opcode, control_payload, handler, go_on);
    } else if (!p.header.fin) {
      p.in_message = true;
    } else {
      const std::unique_ptr<Partial> done = std::move(partial_);
      if (done->message_compressed) {
        outcome.error = dispatch_message(done->message_opcode, true, done->message,
                                         message_bytes_max, inflater, handler, go_on);
      } else if (done->message_opcode == Opcode::text && !done->utf8.complete()) {
        outcome.error = FrameError{CloseCode::invalid_payload, "the text is not UTF-8"};
      } else {
        go_on = handler.on_long_message(done->message_opcode, std::move(done->message));
      }
    }
    if (outcome.error) return outcome;
  }
  return outcome;
}

void append_frame_header(std::string& out, Opcode opcode, std::size_t payload_bytes,
                         bool compressed) {
  char header[10];
  std::size_t size = 2;
  header[0] = static_cast<char>(0x80U | (compressed ? 0x40U : 0U) | static_cast<unsigned>(opcode));
  if (payload_bytes < 126) {
    header[1] = static_cast<char>(payload_bytes);
  } else {
    const std::size_t length_bytes = payload_bytes <= 0xffff ? 2 : 8;
    header[1] = static_cast<char>(length_bytes == 2 ? 126 : 127);
    for (std::size_t i = 0; i < length_bytes; ++i) {
      header[2 + i] = static_cast<char>(payload_bytes >> (8 * (length_bytes - 1 - i)) & 0xff);
    }
    size += length_bytes;
  }
  out.append(header, size);
}

std::string encode_frame(Opcode opcode, std::string_view payload, bool compressed) {
  std::string out;
  out.reserve(payload.size() + 10);
  append_frame_header(out, opcode, payload.size(), compressed);
  out += payload;
  return out;
}

std::string encode_close(CloseCode code, std::string_view reason) {
  std::size_t size = std::min(reason.size(), kCloseReasonBytesMax);
  while (size < reason.size() && size > 0 &&
         (static_cast<std::uint8_t>(reason[size]) & 0xc0) == 0x80) {
    --size;
  }
  const auto number = static_cast<std::uint16_t>(code);
  std::string payload;
  payload += static_cast<char>(number >> 8);
  payload += static_cast<char>(number & 0xff);
  payload += reason.substr(0, size);
  return encode_frame(Opcode::close, payload);
}

void apply_mask(std::span<char> bytes, std::uint32_t mask, std::size_t offset) noexcept {
  // Rotated so that the mask's byte for the first of `bytes` comes first, in memory order.
  unsigned char key[8];
  unsigned char wire[4];
  std::memcpy(wire, &mask, 4);
  for (std::size_t i = 0; i < 8; ++i) key[i] = wire[(offset + i) & 3];
  std::uint64_t wide = 0;
  std::memcpy(&wide, key, 8);
  std::size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + i, 8);
    word ^= wide;
    std::memcpy(bytes.data() + i, &word, 8);
  }
  for (; i < bytes.size(); ++i) {
    bytes[i] = static_cast<char>(static_cast<unsigned char>(bytes[i]) ^ key[i & 7]);
  }
}

bool Utf8Checker::feed(std::string_view bytes) noexcept {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (pending_ == 0) {
      std::uint64_t word = 0;
      while (i + 8 <= bytes.size()) {
        std::memcpy(&word, bytes.data() + i, 8);
        if ((word & 0x8080808080808080ULL) != 0) break;
        i += 8;
      }
      if (i == bytes.size()) break;
    }
    const auto byte = static_cast<std::uint8_t>(bytes[i]);
    if (pending_ > 0) {
      if (byte < low_ || byte > high_) return false;
      --pending_;
      low_ = 0x80;
      high_ = 0xbf;
    } else if (byte >= 0xc2 && byte <= 0xdf) {
      pending_ = 1;
    } else if (byte >= 0xe0 && byte <= 0xef) {
      pending_ = 2;
      if (byte == 0xe0) low_ = 0xa0;   // No overlong forms.
      if (byte == 0xed) high_ = 0x9f;  // No surrogates.
    } else if (byte >= 0xf0 && byte <= 0xf4) {
      pending_ = 3;
      if (byte == 0xf0) low_ = 0x90;   // No overlong forms.
      if (byte == 0xf4) high_ = 0x8f;  // Nothing above U+10FFFF.
    } else if (byte >= 0x80) {
      return false;
    }
  }
  return true;
}

}  // namespace parlance::net
