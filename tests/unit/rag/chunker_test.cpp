#include "rag/chunker.h"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "base/json.h"

namespace parlance::rag {
namespace {

Options of(std::size_t passage_tokens, std::size_t overlap_tokens) {
  Options options;
  options.passage_tokens = passage_tokens;
  options.overlap_tokens = overlap_tokens;
  return options;
}

std::vector<std::string> passages(const std::string& text, const Options& options) {
  std::vector<std::string> out;
  for (const Span span : cut_into_passages(text, options)) {
    REQUIRE(span.begin < span.end);
    REQUIRE(span.end <= text.size());
    out.push_back(text.substr(span.begin, span.end - span.begin));
    REQUIRE(json::valid_utf8(out.back()));
    REQUIRE(out.back().size() <= kPassageBytesMax);
  }
  return out;
}

std::string repeated(const std::string& part, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += part;
  return out;
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("a short text is one passage without the white space around it") {
  CHECK(passages(" \n Hello there. How are you?\n\n", of(100, 20)) ==
        Texts{"Hello there. How are you?"});
}

TEST_CASE("white space alone gives no passage") {
  const char* text = GENERATE("", " ", "\n\r\n\t ", "\xc2\xa0\xe2\x80\xa8\xe3\x80\x80");
  CHECK(passages(text, of(100, 20)).empty());
}

TEST_CASE("passages end where sentences end") {
  CHECK(passages("One two three. Four five! Six seven eight nine? Ten.", of(9, 0)) ==
        Texts{"One two three. Four five!", "Six seven eight nine? Ten."});
}

TEST_CASE("Arabic sentences end at the Arabic question mark, semicolon and full stop") {
  CHECK(passages("كم مدة الضمان؟ الضمان سنتان؛ والصيانة مجانية۔ شكرا لكم.", of(4, 0)) ==
        Texts{"كم مدة الضمان؟", "الضمان سنتان؛", "والصيانة مجانية۔", "شكرا لكم."});
}

TEST_CASE("a passage begins with the last sentences of the one before it") {
  CHECK(passages("A one. B two. C three. D four. E five.", of(9, 3)) ==
        Texts{"A one. B two. C three.", "C three. D four. E five."});
}

TEST_CASE("an overlap never leaves a passage without anything new") {
  const auto got = passages("A b c d e f g h. I j k. L m n o p q r s t.", of(12, 6));
  CHECK(got == Texts{"A b c d e f g h.", "I j k.", "L m n o p q r s t."});
}

TEST_CASE("an overlap is at most half a passage") {
  const auto got = passages(repeated("word. ", 100), of(10, 1'000));
  // Five sentences of two tokens; two of them again.
  CHECK(got.size() == 33);
  CHECK(got.front() == "word. word. word. word. word.");
}

TEST_CASE("a sentence longer than a passage is cut between words and overlaps too") {
  const auto got = passages("aa bb cc dd ee ff gg hh ii", of(4, 2));
  CHECK(got == Texts{"aa bb cc dd", "cc dd ee ff", "ee ff gg hh", "gg hh ii"});
}

TEST_CASE("a long word counts as several tokens") {
  CHECK(passages("12345678 123456789. Next.", of(4, 0)) == Texts{"12345678 123456789.", "Next."});
  CHECK(passages("12345678 123456789. Next.", of(6, 0)).size() == 1);
}

TEST_CASE("a word longer than a passage is cut between characters") {
  // A letter with a combining accent is one character.
  const std::string letter = "e\xcc\x81";
  const auto got = passages(repeated(letter, 20), of(2, 0));
  REQUIRE(got.size() == 3);
  for (const std::string& passage : got) CHECK(passage.size() % letter.size() == 0);
}

TEST_CASE("a character longer than a passage is cut between code points") {
  const auto got = passages("e" + repeated("\xcc\x81", 40'000), of(1'000, 0));
  CHECK(got.size() > 4);
}

TEST_CASE("a passage has a limit in bytes besides tokens") {
  // Words of four tokens with much white space between them.
  const auto got = passages(repeated("word" + std::string(3'000, ' '), 40), of(1'000, 200));
  CHECK(got.size() > 5);
  CHECK(got.size() < 30);
}

TEST_CASE("white space larger than a passage separates two") {
  CHECK(passages("One." + std::string(100'000, '\n') + "Two.", of(1'000, 200)) ==
        Texts{"One.", "Two."});
}

TEST_CASE("every visible character is in a passage") {
  const std::string text =
      GENERATE(repeated("The quick brown fox jumps. Over? 3.14 dogs! ", 300),
               repeated("اللغة العربية لغة جميلة؟ نعم؛ جدا. ", 300), repeated("漢字", 5'000),
               repeated("a,b;c\td\r\n", 2'000), repeated(". . .", 3'000), std::string(50'000, 'x'));
  const auto spans = cut_into_passages(text, of(50, 10));
  std::size_t covered = 0;
  for (const Span span : spans) {
    for (std::size_t i = covered; i < span.begin; ++i) {
      REQUIRE(std::string(" \t\r\n").find(text[i]) != std::string::npos);
    }
    REQUIRE(span.end > covered);
    covered = span.end;
  }
  CHECK(text.find_first_not_of(" \r\n\t", covered) == std::string::npos);
}

TEST_CASE("options of zero still cut every text") {
  CHECK(passages("One two.", of(0, 0)) == Texts{"One", "two", "."});
}

}  // namespace parlance::rag
