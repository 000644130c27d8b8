#include "base/json.h"

#include <string>
#include <string_view>

#include <catch2/catch.hpp>

#include "tests/unit/base/seeded.h"

namespace parlance {
namespace {

using namespace std::string_view_literals;

std::string nested(char open, char close, int levels) {
  const auto count = static_cast<std::size_t>(levels);
  if (open == '[') return std::string(count, open) + std::string(count, close);
  std::string out;
  for (int i = 0; i < levels; ++i) out += "{\"a\":";
  return out + "1" + std::string(count, close);
}

// Unicode 15, table 3-7, from its edges inwards.
constexpr std::string_view kIllFormed[] = {
    "\x80"sv,  // A continuation byte alone.
    "\xbf"sv,
    "\xc0\x80"sv,  // Overlong.
    "\xc1\xbf"sv,
    "\xc2"sv,  // Cut short.
    "\xc2\x41"sv,
    "\xdf\xc0"sv,
    "\xe0\x80\x80"sv,  // Overlong.
    "\xe0\x9f\xbf"sv,
    "\xe0\xa0"sv,
    "\xe1\x80"sv,
    "\xe1\x80\x41"sv,
    "\xe1\x41\x80"sv,
    "\xed\xa0\x80"sv,  // Surrogates.
    "\xed\xbf\xbf"sv,
    "\xf0\x80\x80\x80"sv,  // Overlong.
    "\xf0\x8f\xbf\xbf"sv,
    "\xf0\x90\x80"sv,
    "\xf1\x80\x80\x41"sv,
    "\xf4\x90\x80\x80"sv,  // Above U+10FFFF.
    "\xf5\x80\x80\x80"sv,
    "\xf8\x88\x80\x80\x80"sv,
    "\xfe"sv,
    "\xff"sv,
};

constexpr std::string_view kWellFormed[] = {
    ""sv,
    "plain"sv,
    "\0"sv,
    "\x7f"sv,
    "\xc2\x80"sv,          // U+0080
    "\xdf\xbf"sv,          // U+07FF
    "\xe0\xa0\x80"sv,      // U+0800
    "\xed\x9f\xbf"sv,      // U+D7FF
    "\xee\x80\x80"sv,      // U+E000
    "\xef\xbf\xbf"sv,      // U+FFFF
    "\xf0\x90\x80\x80"sv,  // U+10000
    "\xf4\x8f\xbf\xbf"sv,  // U+10FFFF
    "السلام عليكم، كيف الحال؟"sv,
    "mixed العربية and English 🙂"sv,
    "كِتَابٌ"sv,
};

TEST_CASE("a document as deep as the limit is parsed") {
  const char open = GENERATE('[', '{');
  CHECK(json::parse(nested(open, open == '[' ? ']' : '}', json::kDepthMax)).has_value());
}

TEST_CASE("a document deeper than the limit is refused") {
  const char open = GENERATE('[', '{');
  const auto parsed = json::parse(nested(open, open == '[' ? ']' : '}', json::kDepthMax + 1));
  REQUIRE_FALSE(parsed.has_value());
  CHECK(parsed.error().code == Errc::invalid_argument);
}

TEST_CASE("a hundred thousand open brackets are refused without recursion") {
  CHECK_FALSE(json::parse(std::string(100'000, '[')).has_value());
}

TEST_CASE("brackets inside strings are no depth") {
  CHECK(json::parse("\"" + std::string(1'000, '[') + "\"").has_value());
}

TEST_CASE("an escaped quote does not end a string for the depth count") {
  CHECK(json::parse(R"("\")" + std::string(1'000, '[') + "\"").has_value());
}

TEST_CASE("the error of a bad document says where and why") {
  const auto parsed = json::parse("{\"a\": tru}");
  REQUIRE_FALSE(parsed.has_value());
  CHECK(parsed.error().detail == "not valid JSON at byte 9: Invalid value.");
}

TEST_CASE("what is not one whole JSON value is refused") {
  const std::string_view text =
      GENERATE(""sv, "  "sv, "{"sv, "{}x"sv, "{} {}"sv, "[1,]"sv, "{\"a\":1,}"sv, "'a'"sv, "NaN"sv,
               "01"sv, "1e999"sv, "// c\n1"sv, "\"a\nb\""sv, "\xef\xbb\xbf{"sv);
  CAPTURE(text);
  CHECK_FALSE(json::parse(text).has_value());
}

TEST_CASE("a zero byte is refused wherever it stands") {
  const std::string_view text =
      GENERATE("{}\0"sv, "{}\0garbage"sv, "\0{}"sv, "[1,\0 2]"sv, "\"a\0b\""sv);
  CHECK_FALSE(json::parse(text).has_value());
}

TEST_CASE("an escape that names half a surrogate pair is refused") {
  const std::string_view text = GENERATE(R"("\ud800")"sv, R"("\udc00")"sv, R"("\udfff")"sv,
                                         R"("\ud800A")"sv, R"("\ud800\ud800")"sv);
  CAPTURE(text);
  CHECK_FALSE(json::parse(text).has_value());
}

TEST_CASE("an escaped surrogate pair becomes one code point") {
  const auto parsed = json::parse(R"("\ud83d\ude42")");
  REQUIRE(parsed.has_value());
  CHECK(json::view(*parsed) == "🙂");
}

TEST_CASE("ill-formed UTF-8 is seen") {
  for (const std::string_view bytes : kIllFormed) {
    for (const std::size_t before : {0U, 1U, 7U, 8U, 9U}) {
      const std::string text = std::string(before, 'x').append(bytes).append("yy");
      CAPTURE(before, text);
      CHECK_FALSE(json::valid_utf8(text));
    }
  }
}

TEST_CASE("a string of ill-formed UTF-8 is refused in JSON") {
  for (const std::string_view bytes : kIllFormed) {
    const std::string text = std::string("{\"m\":\"").append(bytes).append("\"}");
    CAPTURE(text);
    CHECK_FALSE(json::parse(text).has_value());
  }
}

TEST_CASE("well-formed UTF-8 is taken") {
  for (const std::string_view bytes : kWellFormed) {
    CAPTURE(bytes);
    CHECK(json::valid_utf8(bytes));
  }
}

TEST_CASE("well-formed UTF-8 stays as it is when it is made valid") {
  for (const std::string_view bytes : kWellFormed) CHECK(json::to_valid_utf8(bytes) == bytes);
}

TEST_CASE("what was ill-formed is valid after it was made so, and the rest is kept") {
  for (const std::string_view bytes : kIllFormed) {
    const std::string made = json::to_valid_utf8(std::string("قبل").append(bytes).append("بعد"));
    CAPTURE(made);
    CHECK(json::valid_utf8(made));
    CHECK(made.starts_with("قبل"));
    CHECK(made.ends_with("بعد"));
    CHECK(made.find("\xef\xbf\xbd") != std::string::npos);
  }
}

TEST_CASE("random bytes are made valid") {
  test::Seeded random("random bytes are made valid");
  for (int i = 0; i < 2'000; ++i) {
    std::string bytes;
    for (std::uint64_t left = random.below(24); left > 0; --left) {
      bytes += static_cast<char>(random.any());
    }
    const std::string made = json::to_valid_utf8(bytes);
    INFO("seed " << random.seed());
    REQUIRE(json::valid_utf8(made));
    REQUIRE((made == bytes) == json::valid_utf8(bytes));
  }
}

TEST_CASE("every string survives escaping and parsing") {
  test::Seeded random("every string survives escaping and parsing");
  for (int i = 0; i < 3'000; ++i) {
    const std::string text = random.text(12);
    std::string written;
    json::append_string(written, text);
    INFO("seed " << random.seed());
    CAPTURE(written);
    const auto parsed = json::parse(written);
    REQUIRE(parsed.has_value());
    REQUIRE(json::view(*parsed) == text);
  }
}

TEST_CASE("a written string holds no raw control byte") {
  std::string all;
  for (int byte = 0; byte < 0x20; ++byte) all += static_cast<char>(byte);
  std::string written;
  json::append_string(written, all);
  for (const char c : written) CHECK(static_cast<unsigned char>(c) >= 0x20);
}

TEST_CASE("integers are written at their extremes") {
  std::string written;
  json::append_int(written, INT64_MIN);
  written += ' ';
  json::append_int(written, INT64_MAX);
  CHECK(written == "-9223372036854775808 9223372036854775807");
}

TEST_CASE("a string member is found only where it is a string of an object") {
  const auto object = json::parse(R"({"text":"here","number":1})");
  REQUIRE(object.has_value());
  CHECK(json::view(*json::find_string(*object, "text")) == "here");
  CHECK(json::find_string(*object, "number") == nullptr);
  CHECK(json::find_string(*object, "absent") == nullptr);
  const auto list = json::parse("[1]");
  REQUIRE(list.has_value());
  CHECK(json::find_string(*list, "text") == nullptr);
}

}  // namespace
}  // namespace parlance
