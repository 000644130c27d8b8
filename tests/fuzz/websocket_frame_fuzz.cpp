// Bytes of a socket through the frame reader, at once and in pieces: both must hear the same.
// Byte 0 chooses the pieces and whether compression was agreed on.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/json.h"
#include "net/deflate.h"
#include "net/websocket_frame.h"

namespace {

using namespace parlance;
using namespace parlance::net;

struct Recorder final : FrameHandler {
  std::string heard;

  bool note(char kind, std::string_view bytes) {
    heard += kind;
    heard += std::to_string(bytes.size());
    heard += ':';
    heard += bytes;
    return true;
  }
  bool on_message(Opcode opcode, std::string_view payload) override {
    if (opcode == Opcode::text) CHECK(json::valid_utf8(payload));
    return note(opcode == Opcode::text ? 't' : 'b', payload);
  }
  bool on_ping(std::string_view payload) override {
    CHECK(payload.size() <= kControlBytesMax);
    return note('p', payload);
  }
  bool on_pong(std::string_view payload) override { return note('o', payload); }
  bool on_close(CloseCode, std::string_view reason) override {
    CHECK(json::valid_utf8(reason));
    return note('c', reason);
  }
};

constexpr std::size_t kMessageBytesMax = 4096;

bool read_in_pieces(const std::string& bytes, std::size_t piece, MessageInflater* inflater,
                    std::string& heard) {
  FrameReader reader;
  Recorder recorder;
  bool good = true;
  for (std::size_t at = 0; good && at < bytes.size(); at += piece) {
    const std::size_t size = std::min(piece, bytes.size() - at);
    // A copy that ends with the piece: reading behind it is then found.
    std::vector<char> copy(bytes.begin() + static_cast<std::ptrdiff_t>(at),
                           bytes.begin() + static_cast<std::ptrdiff_t>(at + size));
    const auto outcome = reader.read(copy, kMessageBytesMax, recorder, inflater);
    good = !outcome.error;
    if (good) CHECK(outcome.consumed == size);
    CHECK(reader.buffered_bytes() < 3 * kMessageBytesMax);
  }
  heard = recorder.heard;
  return good;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  DeflateInflater deflate;
  MessageInflater* const inflater = (data[0] & 0x80) != 0 ? &deflate : nullptr;
  const std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  std::string whole;
  std::string pieces;
  const bool whole_good = read_in_pieces(bytes, size, inflater, whole);
  const bool pieces_good = read_in_pieces(bytes, 1U + (data[0] & 0x1f), inflater, pieces);
  CHECK(whole_good == pieces_good);
  CHECK(whole == pieces);
  return 0;
}
