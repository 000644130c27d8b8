#include "dialects/language.h"

#include <string>

#include <catch2/catch.hpp>

#include "base/nfc.h"

using namespace parlance::dialects;
using parlance::to_nfc;

TEST_CASE("the language of a sentence is told") {
  CHECK(language_of("What is the capital of Egypt?") == "en");
  CHECK(language_of("كم تبعد الأهرام عن وسط القاهرة؟") == "ar");
  CHECK(language_of("Bonjour, comment allez-vous?") == "fr");
}

TEST_CASE("the language of one word is told where its letters tell it") {
  CHECK(language_of("hello") == "en");
  CHECK(language_of("مرحبا") == "ar");
  CHECK(language_of("שלום") == "he");
}

TEST_CASE("other languages in Arabic letters are not Arabic") {
  CHECK(language_of("سلام، حال شما چطور است؟") == "fa");
  CHECK(language_of("آپ کیسے ہیں؟") == "ur");
}

TEST_CASE("a text in two languages is in the one it has more of") {
  CHECK(language_of("ما معنى كلمة hello بالإنجليزية") == "ar");
  CHECK(language_of("What does مرحبا mean in English?") == "en");
}

TEST_CASE("the language of Arabic with vowel marks is told") {
  CHECK(language_of("بِسْمِ اللَّهِ الرَّحْمٰنِ الرَّحِيمِ") == "ar");
}

TEST_CASE("a text without words is in no language") {
  for (const auto* text : {"", "42", "123 + 4 = ?", "\xf0\x9f\x91\xa9", " ", "Hi"}) {
    INFO(text);
    CHECK(language_of(text).empty());
  }
}

TEST_CASE("a long text is cut between characters before its language is looked for") {
  std::string text = "x";
  for (int i = 0; i < 400; ++i) text += "كم تبعد الأهرام ";
  CHECK(language_of(text) == "ar");
}

TEST_CASE("a text is composed") {
  CHECK(to_nfc("cafe\u0301") == "caf\u00e9");
  CHECK(to_nfc("\u1100\u1161\u11a8") == "\uac01");
  CHECK(to_nfc("\u0627\u0653") == "\u0622");  // Alef and a madda above.
}

TEST_CASE("a composed text stays as it is") {
  for (const auto* text :
       {"", "hello", "بِسْمِ اللَّهِ", "اكتب \"hello\" \u200f46\u200e", "\u2067عربي\u2069 \u200d"}) {
    INFO(text);
    CHECK(to_nfc(text) == text);
  }
}

TEST_CASE("a zero byte does not end a text") {
  const std::string text("a\0e\u0301", 5);
  CHECK(to_nfc(text) == std::string("a\0\u00e9", 4));
}
