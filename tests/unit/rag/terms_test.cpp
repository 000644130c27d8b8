#include "rag/terms.h"

#include <algorithm>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

namespace parlance::rag {
namespace {

std::vector<std::string> words(const std::string& text) {
  std::vector<std::string> out;
  for (const Term& term : terms_in(text)) out.push_back(term.text);
  return out;
}

using Words = std::vector<std::string>;

}  // namespace

TEST_CASE("English words are counted by their stems, whatever their case") {
  CHECK(terms_in("Connection CONNECTED connects rocket") ==
        std::vector<Term>{{"connect", 3}, {"rocket", 1}});
}

TEST_CASE("Arabic words with article, prefix or plural have the term of the plain word") {
  CHECK(words("الضمان") == words("ضمان"));
  CHECK(words("بالضمان") == words("ضمان"));
  CHECK(words("المهندسون") == words("مهندس"));
  CHECK(words("بطارية") == words("البطاريات"));
}

TEST_CASE("Arabic vowel marks, stretching and forms of alef make no difference") {
  CHECK(words("إطلاق") == words("اطلاق"));
  CHECK(words("أُطْلِقَ") == words("اطلق"));
  CHECK(words("الصـــاروخ") == words("الصاروخ"));
  CHECK(words("آلة") == words("الة"));
}

TEST_CASE("digits and compatibility forms are one spelling") {
  CHECK(words("٢٤") == Words{"24"});
  CHECK(words("۲۴") == Words{"24"});
  CHECK(words("ﻻﺋﺤﺔ") == words("لائحة"));
  CHECK(words("Ｒｏｃｋｅｔ") == Words{"rocket"});
}

TEST_CASE("stop words of both languages are no terms") {
  CHECK(words("What is the and of it, please? Hello, how are you; don't tell me!").empty());
  CHECK(words("ما هي و في إلى الذي كيف حالك؟ مرحبا وهو").empty());
}

TEST_CASE("both languages are stemmed in one text") {
  CHECK(words("engines المحركات") == [] {
    Words both = words("engine");
    both.push_back(words("محركات").at(0));
    return both;
  }());
}

TEST_CASE("text without words has no terms") {
  CHECK(terms_in("").empty());
  CHECK(terms_in(" .,;!؟ \n").empty());
}

TEST_CASE("terms are the same after being kept") {
  const std::string text = "Rockets launch. الصاروخ ينطلق. Rockets land in 2024.";
  const auto read = read_terms(terms_of(text));
  REQUIRE(read.has_value());
  CHECK(*read == terms_in(text));
}

TEST_CASE("damaged terms are refused") {
  const std::string whole = terms_of("several words that a document is made of");
  for (std::size_t i = 1; i < whole.size(); ++i) {
    const auto read = read_terms(std::string_view(whole).substr(0, i));
    if (!read) CHECK(read.error().code == Errc::corrupted);
  }
  const auto noise = read_terms("\xff\xff\xff\xff\xff\xff");
  REQUIRE(noise.has_error());
  CHECK(noise.error().code == Errc::corrupted);
}

TEST_CASE("very long words do no harm") {
  CHECK(terms_in(std::string(100'000, 'x') + " rocket") == std::vector<Term>{{"rocket", 1}});
}

}  // namespace parlance::rag
