#include "net/websocket_frame.h"

#include <algorithm>
#include <cstring>
#include <span>

#include <catch2/catch.hpp>

#include "tests/unit/base/seeded.h"

using namespace parlance::net;

namespace {

/// A frame as a client sends it.
std::string masked(unsigned first, std::string_view payload, std::uint32_t mask = 0x04030201) {
  std::string out(1, static_cast<char>(first));
  if (payload.size() < 126) {
    out += static_cast<char>(0x80 | payload.size());
  } else {
    const int bytes = payload.size() <= 0xffff ? 2 : 8;
    out += static_cast<char>(0x80 | (bytes == 2 ? 126 : 127));
    for (int i = bytes - 1; i >= 0; --i) out += static_cast<char>(payload.size() >> (8 * i) & 0xff);
  }
  char key[4];
  std::memcpy(key, &mask, 4);
  out.append(key, 4);
  for (std::size_t i = 0; i < payload.size(); ++i)
    out += static_cast<char>(payload[i] ^ key[i % 4]);
  return out;
}

/// Writes down what it is told, one line each.
struct Recorder final : FrameHandler {
  std::string heard;
  int stop_after = -1;

  bool go_on() { return stop_after < 0 || --stop_after > 0; }
  bool on_message(Opcode opcode, std::string_view payload) override {
    heard += opcode == Opcode::text ? "text:" : "binary:";
    heard += payload;
    heard += '\n';
    return go_on();
  }
  bool on_ping(std::string_view payload) override {
    heard += "ping:" + std::string(payload) + '\n';
    return go_on();
  }
  bool on_pong(std::string_view payload) override {
    heard += "pong:" + std::string(payload) + '\n';
    return go_on();
  }
  bool on_close(CloseCode code, std::string_view reason) override {
    heard += "close:" + std::to_string(static_cast<int>(code)) + ':' + std::string(reason) + '\n';
    return go_on();
  }
};

constexpr std::size_t kMessageMax = 1 << 20;

/// Everything heard from `bytes` in one piece, and the error's code or 0.
std::pair<std::string, int> read_all(std::string bytes, std::size_t message_max = kMessageMax) {
  FrameReader reader;
  Recorder recorder;
  const auto outcome = reader.read(bytes, message_max, recorder);
  return {recorder.heard, outcome.error ? static_cast<int>(outcome.error->code) : 0};
}

int error_of(std::string bytes, std::size_t message_max = kMessageMax) {
  // The same refusal whether the bytes come at once or one by one.
  const int at_once = read_all(bytes, message_max).second;
  FrameReader reader;
  Recorder recorder;
  int one_by_one = 0;
  for (char& byte : bytes) {
    const auto outcome = reader.read({&byte, 1}, message_max, recorder);
    if (outcome.error) {
      one_by_one = static_cast<int>(outcome.error->code);
      break;
    }
  }
  CHECK(at_once == one_by_one);
  return at_once;
}

}  // namespace

TEST_CASE("a masked text frame is a message") {
  CHECK(read_all(masked(0x81, "hello")).first == "text:hello\n");
}

TEST_CASE("a frame without payload is an empty message") {
  CHECK(read_all(masked(0x81, "")).first == "text:\n");
}

TEST_CASE("a sequence of frames is read the same at every split") {
  const std::string sequence = masked(0x81, "one") + masked(0x89, "p") + masked(0x01, "tw") +
                               masked(0x8a, "") + masked(0x00, "") + masked(0x80, "o \xc3\xa9") +
                               masked(0x82, std::string(300, '\xff')) + masked(0x81, "") +
                               masked(0x88,
                                      "\x03\xe8"
                                      "bye");
  const std::string expected =
      "text:one\nping:p\npong:\ntext:two \xc3\xa9\nbinary:" + std::string(300, '\xff') +
      "\ntext:\nclose:1000:bye\n";
  for (std::size_t first = 0; first <= sequence.size(); ++first) {
    for (const std::size_t second : {first, (first + sequence.size()) / 2, sequence.size()}) {
      std::string bytes = sequence;
      FrameReader reader;
      Recorder recorder;
      const std::span<char> all(bytes);
      for (const auto piece :
           {all.first(first), all.subspan(first, second - first), all.subspan(second)}) {
        const auto outcome = reader.read(piece, kMessageMax, recorder);
        REQUIRE(!outcome.error);
        REQUIRE(outcome.consumed == piece.size());
      }
      REQUIRE(recorder.heard == expected);
      REQUIRE(!reader.partial());
      REQUIRE(reader.buffered_bytes() == 0);
    }
  }
}

TEST_CASE("random messages in random fragments and pieces come out whole") {
  parlance::test::Seeded random("websocket_frame");
  const auto below = [&](std::size_t n) { return random.below(n); };
  for (int round = 0; round < 200; ++round) {
    std::string wire;
    std::string expected;
    for (std::size_t message = 0; message < 1 + below(6); ++message) {
      std::string text;
      for (std::size_t i = below(4) == 0 ? below(70'000) : below(200); i > 0; --i) {
        text += below(9) == 0 ? "\xe2\x82\xac" : "x";
      }
      expected += "text:" + text + '\n';
      const std::size_t fragments = 1 + below(4);
      std::size_t begun = 0;
      for (std::size_t i = 0; i < fragments; ++i) {
        const bool last = i + 1 == fragments;
        const std::size_t size = last ? text.size() - begun : below(text.size() - begun + 1);
        wire += masked((i == 0 ? 1U : 0U) | (last ? 0x80U : 0U), text.substr(begun, size),
                       static_cast<std::uint32_t>(random.any()));
        begun += size;
      }
    }
    FrameReader reader;
    Recorder recorder;
    std::span<char> rest(wire);
    while (!rest.empty()) {
      const std::size_t piece = std::min(rest.size(), 1 + below(below(2) == 0 ? 20 : 100'000));
      const auto outcome = reader.read(rest.first(piece), kMessageMax, recorder);
      REQUIRE(!outcome.error);
      rest = rest.subspan(piece);
    }
    REQUIRE(recorder.heard == expected);
  }
}

TEST_CASE("what RFC 6455 forbids is a protocol error") {
  CHECK(error_of("\x81\x05hello") == 1002);    // No mask.
  CHECK(error_of(masked(0x91, "x")) == 1002);  // A reserved bit.
  CHECK(error_of(masked(0xc1, "x")) == 1002);  // Compression not agreed on.
  CHECK(error_of(masked(0x83, "x")) == 1002);  // Unknown opcodes.
  CHECK(error_of(masked(0x8b, "x")) == 1002);
  CHECK(error_of(masked(0x09, "x")) == 1002);                         // A fragmented ping.
  CHECK(error_of(masked(0x89, std::string(126, 'x'))) == 1002);       // A long ping.
  CHECK(error_of(masked(0x80, "x")) == 1002);                         // Continues nothing.
  CHECK(error_of(masked(0x01, "a") + masked(0x81, "b")) == 1002);     // A message inside another.
  CHECK(error_of(masked(0x88, "x")) == 1002);                         // Half a close code.
  CHECK(error_of(masked(0x88, std::string("\x03\xed", 2))) == 1002);  // 1005 is never sent.
  CHECK(error_of(masked(0x88, std::string("\x00\x01", 2))) == 1002);
  CHECK(error_of(std::string("\x81\xfe\x00\x05\0\0\0\0hello", 13)) == 1002);  // Not the shortest.
  CHECK(error_of(std::string("\x81\xff\x80\0\0\0\0\0\0\1\0\0\0\0", 14)) == 1002);
}

TEST_CASE("close frames may be empty or carry a code and a reason") {
  CHECK(read_all(masked(0x88, "")).first == "close:1005:\n");
  CHECK(read_all(masked(0x88, std::string("\x0f\xa0", 2) + "own")).first == "close:4000:own\n");
  CHECK(error_of(masked(0x88, std::string("\x03\xe8\xff", 3))) == 1007);
}

TEST_CASE("text that is not UTF-8 is refused, also across fragments") {
  CHECK(error_of(masked(0x81, "\xff")) == 1007);
  CHECK(error_of(masked(0x81, "\xed\xa0\x80")) == 1007);
  CHECK(error_of(masked(0x81, "\xe2\x82")) == 1007);
  CHECK(error_of(masked(0x01, "\xe2") + masked(0x80, "x")) == 1007);
  CHECK(error_of(masked(0x01, "\xe2") + masked(0x80, "")) == 1007);
  CHECK(error_of(masked(0x01, "\xe2") + masked(0x00, "\x82") + masked(0x80, "\xac")) == 0);
}

TEST_CASE("bad UTF-8 in a first fragment is refused before the last one comes") {
  std::string bytes = masked(0x01, "a\xff");
  FrameReader reader;
  Recorder recorder;
  const auto outcome = reader.read(bytes, kMessageMax, recorder);
  REQUIRE(outcome.error);
  CHECK(outcome.error->code == CloseCode::invalid_payload);
}

TEST_CASE("a message over the limit is refused by its header, without a buffer") {
  CHECK(read_all(masked(0x81, std::string(100, 'x')), 100).second == 0);
  CHECK(error_of(masked(0x81, std::string(101, 'x')), 100) == 1009);
  CHECK(error_of(masked(0x01, std::string(60, 'x')) + masked(0x80, std::string(41, 'x')), 100) ==
        1009);
  std::string header("\x81\xff\0\0\0\1\0\0\0\0\1\2\3\4", 14);
  FrameReader reader;
  Recorder recorder;
  CHECK(reader.read(header, kMessageMax, recorder).error->code == CloseCode::too_big);
}

TEST_CASE("a header that claims a megabyte reserves no megabyte") {
  std::string header("\x81\xff\0\0\0\0\0\x0f\xff\xff\1\2\3\4", 14);
  FrameReader reader;
  Recorder recorder;
  CHECK(!reader.read(header, kMessageMax, recorder).error);
  CHECK(reader.partial());
  CHECK(reader.buffered_bytes() < 1024);
}

TEST_CASE("a handler that stops leaves the rest unread") {
  std::string bytes = masked(0x81, "a") + masked(0x81, "b");
  const std::size_t first = bytes.size() / 2;
  FrameReader reader;
  Recorder recorder;
  recorder.stop_after = 1;
  CHECK(reader.read(bytes, kMessageMax, recorder).consumed == first);
  CHECK(recorder.heard == "text:a\n");
  recorder.stop_after = -1;
  CHECK(reader.read(std::span(bytes).subspan(first), kMessageMax, recorder).consumed == first);
  CHECK(recorder.heard == "text:a\ntext:b\n");
}

TEST_CASE("masking works at every length and offset") {
  for (std::size_t size = 0; size < 40; ++size) {
    for (std::size_t offset = 0; offset < 9; ++offset) {
      const unsigned char key[4] = {0x11, 0x22, 0x43, 0x84};
      std::uint32_t mask = 0;
      std::memcpy(&mask, key, 4);
      std::string bytes(size, 'q');
      apply_mask(bytes, mask, offset);
      for (std::size_t i = 0; i < size; ++i) {
        REQUIRE(static_cast<unsigned char>(bytes[i]) == ('q' ^ key[(offset + i) % 4]));
      }
    }
  }
}

TEST_CASE("server frames have the shortest header and no mask") {
  CHECK(encode_frame(Opcode::text, "hi") == "\x81\x02hi");
  CHECK(encode_frame(Opcode::text, std::string(126, 'x')).substr(0, 4) ==
        std::string("\x81\x7e\x00\x7e", 4));
  CHECK(encode_frame(Opcode::binary, std::string(65536, 'x')).substr(0, 10) ==
        std::string("\x82\x7f\0\0\0\0\0\1\0\0", 10));
}

TEST_CASE("a close reason is cut between characters") {
  std::string reason(122, 'x');
  reason += "\xe2\x82\xac";
  const std::string frame = encode_close(CloseCode::normal, reason);
  CHECK(frame.size() == 2 + 2 + 122);
  CHECK(frame.substr(2, 2) == "\x03\xe8");
}

TEST_CASE("a message that came in parts is handed over, with no more memory than it needs") {
  struct Keeper final : FrameHandler {
    std::string kept;
    bool on_message(Opcode, std::string_view) override { return false; }
    bool on_long_message(Opcode, std::string&& payload) override {
      kept = std::move(payload);
      return true;
    }
    bool on_ping(std::string_view) override { return true; }
    bool on_pong(std::string_view) override { return true; }
    bool on_close(CloseCode, std::string_view) override { return true; }
  } keeper;
  FrameReader reader;
  const std::string text(300'000, 'x');
  std::string bytes = masked(0x81, text);
  for (std::size_t at = 0; at < bytes.size(); at += 1000) {
    const std::size_t size = std::min<std::size_t>(1000, bytes.size() - at);
    reader.read(std::span(bytes).subspan(at, size), kMessageMax, keeper);
    REQUIRE(reader.received_bytes() <= at + size);
  }
  CHECK(keeper.kept == text);
  CHECK(keeper.kept.capacity() == text.size());
  CHECK(reader.received_bytes() == 0);
}
