// What both ends of a measurement cut out of byte streams: HTTP heads and chunks, WebSocket frames,
// chat frames.

#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "benchmarks/load/chat_frames.h"
#include "benchmarks/load/regression.h"
#include "benchmarks/load/websocket_frames.h"
#include "benchmarks/support/http.h"
#include "benchmarks/support/socket.h"
#include "benchmarks/upstream/body_writer.h"

namespace {

namespace bench = parlance::benchmarks;
using Kind = bench::ChatFrame::Kind;

/// The frame as a server would send it: the same without the mask.
std::string server_frame(uint8_t first, const std::string& payload) {
  std::string client;
  bench::append_client_frame(client, bench::Opcode::text, payload);
  const size_t head = client.size() - payload.size() - 4;
  client.erase(head, 4);
  client[0] = static_cast<char>(first);
  client[1] = static_cast<char>(client[1] & 0x7F);
  return client;
}

}  // namespace

TEST_CASE("a head is found once it is complete") {
  const std::string text = "GET / HTTP/1.1\r\nHost: a\r\nContent-LENGTH:  12 \r\n\r\nrest";
  for (size_t size = 0; size < text.size() - 4; ++size) {
    CHECK_FALSE(bench::parse_http_head(text.substr(0, size)).has_value());
  }
  const auto head = bench::parse_http_head(text);
  REQUIRE(head.has_value());
  CHECK(head->start_line == "GET / HTTP/1.1");
  CHECK(head->find("content-length") == "12");
  CHECK(head->find("HOST") == "a");
  CHECK_FALSE(head->find("cookie").has_value());
  CHECK(text.substr(head->bytes) == "rest");
}

TEST_CASE("chunks are joined, however they are cut") {
  const std::string text =
      "5;x=y\r\nhello\r\n1\r\n \r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\nnext";
  const size_t piece = GENERATE(1, 2, 7, 1'000);
  bench::ChunkedDecoder decoder;
  std::string body;
  size_t taken = 0;
  while (taken < text.size() && !decoder.done()) {
    taken += decoder.feed(text.substr(taken, piece), [&](std::string_view part) { body += part; });
  }
  CHECK(body == "hello 0123456789");
  CHECK(decoder.done());
  CHECK(text.substr(taken) == "next");
}

TEST_CASE("broken chunk sizes are refused") {
  bench::ChunkedDecoder decoder;
  decoder.feed("zz\r\n", [](std::string_view) {});
  CHECK(decoder.failed());
}

TEST_CASE("a body is framed, split and cut as it is told to") {
  bench::Behaviour behaviour;
  bench::BodyWriter writer;
  std::string out;
  const auto write = [&](bool chunked) {
    writer.begin(behaviour, chunked);
    for (const char* bytes : {"hello", "", " you"}) {
      writer.put(bytes, out);
      while (writer.holds_pieces()) writer.put_piece(out);
    }
    writer.finish(out);
  };
  SECTION("chunked") {
    write(true);
    CHECK(out == "5\r\nhello\r\n4\r\n you\r\n0\r\n\r\n");
  }
  SECTION("plain") {
    write(false);
    CHECK(out == "hello you");
  }
  SECTION("split") {
    behaviour.split_bytes = 3;
    write(true);
    CHECK(out == "3\r\nhel\r\n2\r\nlo\r\n3\r\n yo\r\n1\r\nu\r\n0\r\n\r\n");
  }
  SECTION("cut in the middle of a chunk") {
    behaviour.cut_at_byte = 7;
    write(true);
    CHECK(out == "5\r\nhello\r\n4\r\n y");
    CHECK(writer.cut_reached());
  }
  SECTION("cut and split") {
    behaviour.cut_at_byte = 4;
    behaviour.split_bytes = 3;
    write(false);
    CHECK(out == "hell");
  }
  SECTION("cut before the first byte") {
    behaviour.cut_at_byte = 0;
    write(true);
    CHECK(out.empty());
  }
  SECTION("cut beyond the end") {
    behaviour.cut_at_byte = 10;
    write(false);
    CHECK(out == "hello you");
    CHECK_FALSE(writer.cut_reached());
  }
}

TEST_CASE("frames of all lengths come back") {
  const size_t size = GENERATE(0, 1, 125, 126, 65'535, 65'536, 100'000);
  const std::string payload(size, 'p');
  const std::string bytes = server_frame(0x81, payload);
  const std::string buffer = bytes + "more";
  const auto whole = bench::parse_server_frame(buffer, 1 << 20);
  REQUIRE(whole.state == bench::ServerFrame::State::complete);
  CHECK(whole.payload == payload);
  CHECK(whole.bytes == bytes.size());
  CHECK(whole.final);
  for (const size_t cut : {size_t{0}, size_t{1}, bytes.size() / 2, bytes.size() - 1}) {
    CHECK(bench::parse_server_frame(bytes.substr(0, cut), 1 << 20).state ==
          bench::ServerFrame::State::incomplete);
  }
}

TEST_CASE("frames that a server must not send are refused") {
  std::string masked;
  bench::append_client_frame(masked, bench::Opcode::text, "x");
  CHECK(bench::parse_server_frame(masked, 100).state == bench::ServerFrame::State::broken);
  CHECK(bench::parse_server_frame(server_frame(0xC1, "x"), 100).state ==
        bench::ServerFrame::State::broken);
  CHECK(bench::parse_server_frame(server_frame(0x81, std::string(101, 'x')), 100).state ==
        bench::ServerFrame::State::broken);
}

TEST_CASE("chat frames are recognised by their type") {
  const auto delta = bench::parse_chat_frame(
      R"({"type":"agent_delta","message_id":"m-7","chat_id":"c","delta":"say \"type\":\"pong\" \\"})");
  CHECK(delta.kind == Kind::delta);
  CHECK(delta.message_id == "m-7");
  CHECK(delta.text == R"(say \"type\":\"pong\" \\)");
  const auto ack = bench::parse_chat_frame(
      R"({"message":"{\"type\":\"x\"}","message_id":"a","type":"client_message","seq":1})");
  CHECK(ack.kind == Kind::ack);
  CHECK(ack.message_id == "a");
  CHECK(bench::parse_chat_frame(R"({"type":"pong","data":"x"})").kind == Kind::pong);
  CHECK(bench::parse_chat_frame(R"({"type":"message_end","message_id":"a"})").kind == Kind::end);
  CHECK(bench::parse_chat_frame(R"({"type":"agent_error","error":"no"})").text == "no");
  CHECK(bench::parse_chat_frame("nonsense").kind == Kind::other);
}

TEST_CASE("stamps are found in joined deltas") {
  std::vector<int64_t> stamps;
  bench::for_each_stamp("12345|hello 7 |x678| you|",
                        [&](int64_t stamp) { stamps.push_back(stamp); });
  CHECK(stamps == std::vector<int64_t>{12'345, 678});
}

TEST_CASE("what is sent has the size that was asked for") {
  CHECK(bench::ping_frame(64).size() == 64);
  CHECK(bench::message_text("hello", 512).size() == 512);
  CHECK(bench::message_text("hello", 2) == "hello");
  CHECK(bench::client_frame("m-1", "hi", "steer") ==
        R"({"type":"client","message":"hi","message_id":"m-1","on_busy":"steer"})");
}

TEST_CASE("addresses and URLs") {
  CHECK(bench::parse_address("localhost:80").text() == "127.0.0.1:80");
  CHECK_THROWS(bench::parse_address("127.0.0.1"));
  CHECK_THROWS(bench::parse_address("127.0.0.1:99999"));
  CHECK_THROWS(bench::parse_address("example:80"));
  CHECK(bench::parse_url("ws://127.0.0.1:8080/chat/{chat_id}?a=1").path == "/chat/{chat_id}?a=1");
  CHECK(bench::parse_url("http://127.0.0.1").address.port == 80);
  CHECK_THROWS(bench::parse_url("https://127.0.0.1"));
}

TEST_CASE("a line through points has their slope") {
  const auto line = bench::fit_line({2'000, 4'000, 6'000},
                                    {1'000 + 2'000 * 3, 1'000 + 4'000 * 3, 1'000 + 6'000 * 3});
  CHECK(line.slope == Approx(3));
  CHECK(line.intercept == Approx(1'000));
  CHECK(line.r_squared == Approx(1));
  CHECK(bench::fit_line({1, 1}, {2, 3}).slope == 0);
}
