#include "llm/sse_parser.h"

#include <string>
#include <string_view>
#include <vector>

#include <catch2/catch.hpp>

namespace parlance::llm {
namespace {

struct Heard {
  std::vector<std::string> events;  // "type|data|id"
  SseParser::Outcome outcome = SseParser::Outcome::more;
  bool operator==(const Heard&) const = default;
};

/// Feeds the pieces of `bytes` that `cuts` makes.
Heard parse(std::string_view bytes, const std::vector<std::size_t>& cuts = {},
            std::size_t bytes_max = 1 << 16) {
  SseParser parser(bytes_max);
  Heard heard;
  std::size_t from = 0;
  const auto feed = [&](std::size_t to) {
    // A copy of its own, so that a view kept for too long is caught by the sanitizers.
    const std::string piece(bytes.substr(from, to - from));
    from = to;
    heard.outcome = parser.feed(piece, [&](const SseEvent& event) {
      heard.events.push_back(std::string(event.type) + '|' + std::string(event.data) + '|' +
                             std::string(event.id));
      return event.data != "STOP";
    });
    return heard.outcome == SseParser::Outcome::more;
  };
  for (const std::size_t cut : cuts) {
    if (!feed(cut)) return heard;
  }
  feed(bytes.size());
  return heard;
}

std::vector<std::string> events_of(std::string_view bytes) {
  return parse(bytes).events;
}

const std::string recorded =
    "\xef\xbb\xbf: a comment\n"
    "data: first\n\n"
    "event: delta\r\ndata: two\r\ndata: lines\r\n\r\n"
    "id: 7\rdata:no space\r\r"
    "data\n\n"
    "retry: 1500\nunknown: x\ndata:  two spaces\n\n"
    "\n\n:\n\n"
    "event: only a type\n\n"
    "data: \xd9\x85\xd8\xb1\xd8\xad\xd8\xa8\xd8\xa7 {\"a\":\"b: c\"}\nid\n\n"
    "data: never ended";

}  // namespace

TEST_CASE("an event stream is read as the HTML standard says") {
  CHECK(events_of(recorded) ==
        std::vector<std::string>{
            "message|first|", "delta|two\nlines|", "message|no space|7", "message||7",
            "message| two spaces|7",
            "message|\xd9\x85\xd8\xb1\xd8\xad\xd8\xa8\xd8\xa7 {\"a\":\"b: c\"}|"});
}

TEST_CASE("an event stream cut at any one or two places gives the same events") {
  const Heard whole = parse(recorded);
  for (std::size_t a = 0; a <= recorded.size(); ++a) {
    CHECK(parse(recorded, {a}) == whole);
    for (std::size_t b = a; b <= recorded.size(); b += 3) REQUIRE(parse(recorded, {a, b}) == whole);
  }
}

TEST_CASE("an event stream fed byte by byte gives the same events") {
  std::vector<std::size_t> cuts;
  for (std::size_t i = 1; i < recorded.size(); ++i) cuts.push_back(i);
  CHECK(parse(recorded, cuts) == parse(recorded));
}

TEST_CASE("a byte order mark counts at the start of the stream only") {
  CHECK(events_of("\xef\xbb\xbf"
                  "data: a\n\n\xef\xbb\xbf"
                  "data: b\n\n") == std::vector<std::string>{"message|a|"});
}

TEST_CASE("an id with a null byte is ignored") {
  const std::string bytes = std::string("id: 1\nid: a") + '\0' + "b\ndata: x\n\n";
  CHECK(events_of(bytes) == std::vector<std::string>{"message|x|1"});
}

TEST_CASE("the reconnection time is taken when it is all digits") {
  SseParser parser(100);
  const auto ignore = [](const SseEvent&) { return true; };
  parser.feed("retry: 12x\nretry: -1\nretry:\n", ignore);
  CHECK_FALSE(parser.retry_ms());
  parser.feed("retry: 2500\n", ignore);
  CHECK(parser.retry_ms() == 2500);
}

TEST_CASE("the parser stops at the event whose callback says so") {
  const Heard heard = parse("data: a\n\ndata: STOP\n\ndata: b\n\n");
  CHECK(heard.outcome == SseParser::Outcome::stopped);
  CHECK(heard.events == std::vector<std::string>{"message|a|", "message|STOP|"});
}

TEST_CASE("a line over the limit is refused however it is cut") {
  const std::string bytes = "data: ok\n\ndata: 0123456789\n\ndata: late\n\n";
  for (const std::size_t bytes_max : {15U, 16U}) {
    const Heard whole = parse(bytes, {}, bytes_max);
    CHECK((whole.outcome == SseParser::Outcome::too_big) == (bytes_max == 15));
    for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
      CHECK(parse(bytes, {cut}, bytes_max) == whole);
    }
  }
}

TEST_CASE("an event of many short lines is refused over the limit") {
  std::string bytes;
  for (int i = 0; i < 100; ++i) bytes += "data: 0123456789\n";
  CHECK(parse(bytes, {}, 500).outcome == SseParser::Outcome::too_big);
}

TEST_CASE("a line without an end is refused at the limit, not kept") {
  SseParser parser(1000);
  const std::string piece(300, 'x');
  const auto ignore = [](const SseEvent&) { return true; };
  for (int i = 0; i < 3; ++i) CHECK(parser.feed(piece, ignore) == SseParser::Outcome::more);
  CHECK(parser.feed(piece, ignore) == SseParser::Outcome::too_big);
}

}  // namespace parlance::llm
