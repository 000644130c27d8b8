#include "benchmarks/upstream/audio.h"

#include <stdexcept>
#include <string>

#include <catch2/catch.hpp>

namespace bench = parlance::benchmarks;

TEST_CASE("silence is whole frames of MP3, as long as it is asked for") {
  const std::string second = bench::silent_mp3(1'000);
  CHECK(second.size() == size_t{39} * 417);
  for (size_t at = 0; at < second.size(); at += 417) {
    REQUIRE(second.substr(at, 4) == "\xFF\xFB\x90\xC4");
  }
  CHECK(bench::silent_mp3(1).size() == 417);
  CHECK(bench::silent_mp3(0).empty());
}

TEST_CASE("a transcript is JSON whatever the text") {
  CHECK(bench::transcript_body("say \"this\"") == R"({"text":"say \"this\""})");
}

TEST_CASE("a request for speech without what it needs is refused with its name") {
  CHECK_NOTHROW(bench::check_speech_request(R"({"model":"m","input":"i","voice":"v"})"));
  CHECK_THROWS_AS(bench::check_speech_request("audio"), std::invalid_argument);
  CHECK_THROWS_WITH(bench::check_speech_request(R"({"model":"m","voice":"v"})"),
                    "\"input\" must be a filled string");
  CHECK_THROWS_WITH(bench::check_speech_request(R"({"model":"m","input":"","voice":"v"})"),
                    "\"input\" must be a filled string");
}

TEST_CASE("a form is summed up by its size and its texts, without the file's bytes") {
  const std::string head =
      "POST /v1/audio/transcriptions HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=x\r\n"
      "\r\n";
  const std::string start =
      "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n\xFF\xFE";
  CHECK(bench::form_summary(head, start, 900) ==
        R"({"bytes":900,"form":"--x\u000d\nContent-Disposition: form-data; name=\"file\"; )"
        R"(filename=\"a.wav\""})");
  CHECK_THROWS_WITH(bench::form_summary(head, "--x", 3), "\"file\" is missing");
  CHECK_THROWS_WITH(bench::form_summary("POST / HTTP/1.1\r\n\r\n", start, 3),
                    "the body is not multipart/form-data");
}
