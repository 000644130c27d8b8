// The framing of RFC 6455, server side: bytes of a socket to messages, messages to bytes.
// Pure: no sockets, no clock. One FrameReader per connection, on that connection's thread.
//
// Invariants: a reader holds memory only while a frame or a fragmented message is incomplete, and
// grows with the bytes that arrived, not with the length that a header claims. Frames of the server
// carry no mask, so one encoded frame serves any number of connections.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace parlance::net {

enum class Opcode : std::uint8_t {
  continuation = 0,
  text = 1,
  binary = 2,
  close = 8,
  ping = 9,
  pong = 10
};

/// Close codes (RFC 6455 section 7.4.1 and the IANA registry).
enum class CloseCode : std::uint16_t {
  normal = 1000,
  going_away = 1001,
  protocol_error = 1002,
  unsupported_data = 1003,
  no_code = 1005,  ///< Never sent: the peer's close frame was empty.
  invalid_payload = 1007,
  policy_violation = 1008,
  too_big = 1009,
  internal_error = 1011,
  service_restart = 1012,
  try_again_later = 1013,
  unauthorized = 4001,  ///< Of the KISS stack: no or bad credentials.
};

/// Bytes of a control frame's payload at most; a close reason has two fewer.
inline constexpr std::size_t kControlBytesMax = 125;
inline constexpr std::size_t kCloseReasonBytesMax = 123;

/// Why a connection must be closed.
struct FrameError {
  CloseCode code = CloseCode::protocol_error;
  std::string_view reason;  ///< A literal.
};

/// What a reader found. Views are valid during the call. A handler that returns false stops the
/// reader after this frame; the rest of the input is not consumed.
class FrameHandler {
 public:
  virtual ~FrameHandler() = default;
  /// A whole message. Text is valid UTF-8.
  virtual bool on_message(Opcode opcode, std::string_view payload) = 0;
  /// A whole message that came in parts; whoever wants to keep it need not copy it.
  virtual bool on_long_message(Opcode opcode, std::string&& payload) {
    return on_message(opcode, payload);
  }
  virtual bool on_ping(std::string_view payload) = 0;
  virtual bool on_pong(std::string_view payload) = 0;
  /// `code` is no_code when the frame was empty.
  virtual bool on_close(CloseCode code, std::string_view reason) = 0;
};

/// Inflates a message whose frames had the compressed bit. Returns nothing when it is broken, and
/// sets `too_big` when it would exceed `bytes_max`.
class MessageInflater {
 public:
  virtual ~MessageInflater() = default;
  virtual std::optional<std::string> inflate(std::string_view compressed, std::size_t bytes_max,
                                             bool& too_big) = 0;
};

class FrameReader {
 public:
  FrameReader();
  ~FrameReader();
  FrameReader(FrameReader&&) noexcept;
  FrameReader& operator=(FrameReader&&) noexcept;

  struct Outcome {
    std::size_t consumed = 0;
    std::optional<FrameError> error = {};  ///< Nothing more may be read when set.
  };

  /// Reads as many frames as `input` holds; a frame that is cut off is kept for the next call.
  /// Unmasks in place. Messages (all fragments, inflated) longer than `message_bytes_max` are
  /// errors. Without `inflater`, compressed frames are errors.
  Outcome read(std::span<char> input, std::size_t message_bytes_max, FrameHandler& handler,
               MessageInflater* inflater = nullptr);

  /// True while a frame or a message is incomplete.
  bool partial() const noexcept { return partial_ != nullptr; }
  /// Bytes kept of incomplete frames and messages.
  std::size_t buffered_bytes() const noexcept;
  /// Bytes of the incomplete message that have arrived.
  std::size_t received_bytes() const noexcept;

 private:
  struct Partial;
  std::unique_ptr<Partial> partial_;
};

/// Appends the header of an unmasked, unfragmented frame of `payload_bytes`.
void append_frame_header(std::string& out, Opcode opcode, std::size_t payload_bytes,
                         bool compressed = false);

/// A whole frame.
std::string encode_frame(Opcode opcode, std::string_view payload, bool compressed = false);

/// A close frame. `reason` is cut to kCloseReasonBytesMax between characters.
std::string encode_close(CloseCode code, std::string_view reason);

/// Applies `mask` (in wire order) to `bytes`, as if they began `offset` bytes into the payload.
void apply_mask(std::span<char> bytes, std::uint32_t mask, std::size_t offset) noexcept;

/// Checks UTF-8 that arrives in pieces.
class Utf8Checker {
 public:
  /// False once the bytes so far cannot begin valid text.
  bool feed(std::string_view bytes) noexcept;
  /// True when the bytes so far are whole characters.
  bool complete() const noexcept { return pending_ == 0; }

 private:
  std::uint8_t pending_ = 0;  ///< Continuation bytes still to come.
  std::uint8_t low_ = 0x80;   ///< Range of the next one.
  std::uint8_t high_ = 0xbf;
};

}  // namespace parlance::net
