#include "llm/speech_wire.h"

#include <catch2/catch.hpp>

#include "base/json.h"

namespace parlance::llm {

TEST_CASE("a text to be spoken is asked for as mp3, with its quotes and in its script") {
  const auto body = json::parse(encode_speech_request("tts-1", "alloy", "قال \"نعم\"\n"));
  REQUIRE(body.has_value());
  CHECK(json::view(*json::find_string(*body, "model")) == "tts-1");
  CHECK(json::view(*json::find_string(*body, "voice")) == "alloy");
  CHECK(json::view(*json::find_string(*body, "input")) == "قال \"نعم\"\n");
  CHECK(json::view(*json::find_string(*body, "response_format")) == "mp3");
}

TEST_CASE("a transcript is the text without the white space around it") {
  const auto heard = decode_transcript(R"({"text":" Hello there.\n"})", 100, "");
  REQUIRE(heard.has_value());
  CHECK(heard->text == "Hello there.");
  CHECK(heard->language.empty());
}

TEST_CASE("a transcript has its language where that is told, whatever else is") {
  const auto heard = decode_transcript(
      R"({"task":"transcribe","language":"arabic","duration":1.5,"text":"\u0645\u0631\u062d\u0628\u0627","segments":[{}]})",
      100, "");
  REQUIRE(heard.has_value());
  CHECK(heard->text == "مرحبا");
  CHECK(heard->language == "arabic");
}

TEST_CASE("silence is a transcript without words") {
  CHECK(decode_transcript(R"({"text":" "})", 100, "")->text.empty());
}

TEST_CASE("what is no transcript is an error that does not show what was heard") {
  const auto [body, code] = GENERATE(table<std::string, Errc>(
      {{"private words", Errc::unavailable},
       {"{\"text\":\"private words\xff\"}", Errc::unavailable},
       {R"({"text":"private \ud800 words"})", Errc::unavailable},
       {R"({"words":"private words"})", Errc::failed_precondition},
       {R"(["private words"])", Errc::failed_precondition},
       {R"({"text":["private words"]})", Errc::failed_precondition},
       {R"({"text":"private words and more of them"})", Errc::resource_exhausted}}));
  CAPTURE(body);
  const auto heard = decode_transcript(body, 20, "");
  REQUIRE(heard.has_error());
  CHECK(heard.error().code == code);
  CHECK(heard.error().detail.find("private") == std::string::npos);
}

TEST_CASE("an error object in place of a transcript is quoted without the key") {
  const auto heard = decode_transcript(R"({"error":{"message":"no quota for sk-1"}})", 100, "sk-1");
  REQUIRE(heard.has_error());
  CHECK(heard.error().detail == "reported an error: no quota for ***");
}

TEST_CASE("mp3 is known by its names, and by the one that says nothing") {
  CHECK(may_be_mp3("audio/mpeg"));
  CHECK(may_be_mp3("Audio/MP3; rate=24000"));
  CHECK(may_be_mp3("application/octet-stream"));
  CHECK_FALSE(may_be_mp3("audio/wav"));
  CHECK_FALSE(may_be_mp3("application/json"));
  CHECK_FALSE(may_be_mp3(""));
}

TEST_CASE("a long text is cut behind a sentence, else at white space, else between characters") {
  const auto piece = [](std::string_view text, std::size_t most) {
    return text.substr(0, speech_piece(text, most));
  };
  CHECK(piece("All of it.", 10) == "All of it.");
  CHECK(piece("One. Two! Three four", 12) == "One. Two!");
  CHECK(piece("It is 3.5 now", 9) == "It is ");
  CHECK(piece("كيف؟ بخير شكرا", 8) == "كيف؟");
  CHECK(piece("ممممممم", 3) == "ممم");
  CHECK(piece("One.Two. x", 9) == "One.Two.");
}

TEST_CASE("pieces of any text are whole characters and lose nothing but white space") {
  std::string text;
  for (int i = 0; i < 200; ++i) text += i % 7 == 0 ? "مرحبا. " : "word" + std::to_string(i) + " ";
  for (std::size_t most = 1; most < 40; ++most) {
    std::string joined;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t bytes = speech_piece(std::string_view(text).substr(at), most);
      REQUIRE(bytes > 0);
      const std::string piece = text.substr(at, bytes);
      REQUIRE(json::valid_utf8(piece));
      joined += piece;
      at += bytes;
    }
    REQUIRE(joined == text);
  }
}

TEST_CASE("a sentence that repeats some of a text is recognised") {
  CHECK(may_repeat("bad input: 'my secret   diary of today'",
                   "Dear all, my secret\ndiary of today."));
  CHECK(may_repeat("cannot say: hi!", "hi!"));
  CHECK(may_repeat(R"(cannot say "\u0645\u0631\u062d\u0628\u0627")", "مرحبا"));
  CHECK_FALSE(may_repeat("the voice is not known", "my secret diary of today"));
}

}  // namespace parlance::llm
