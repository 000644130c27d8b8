// What the load generator sends to the KISS stack, and how it takes the answers apart.

#include "benchmarks/load/kiss_requests.h"

#include <string>

#include <catch2/catch.hpp>

#include "benchmarks/load/http_client.h"
#include "benchmarks/support/corpus.h"

namespace {

namespace bench = parlance::benchmarks;
using State = bench::HttpAnswer::State;

}  // namespace

TEST_CASE("an answer is taken once its body is complete") {
  const std::string text = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
  for (size_t size = 0; size < text.size(); ++size) {
    CHECK(bench::parse_http_answer(text.substr(0, size)).state == State::incomplete);
  }
  const auto answer = bench::parse_http_answer(text);
  REQUIRE(answer.state == State::complete);
  CHECK(answer.status == 200);
  CHECK(answer.body == "hello");
  CHECK(answer.bytes == text.size());
}

TEST_CASE("what follows an answer does not belong to it") {
  const std::string text = "HTTP/1.1 409 Conflict\r\ncontent-length: 2\r\n\r\n{}HTTP/1.1 200";
  const auto answer = bench::parse_http_answer(text);
  REQUIRE(answer.state == State::complete);
  CHECK(answer.status == 409);
  CHECK(text.substr(answer.bytes) == "HTTP/1.1 200");
}

TEST_CASE("what is no answer with a length is refused") {
  const std::string text =
      GENERATE("HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5x\r\n\r\nhello",
               "HTTP/1.1 OK\r\nContent-Length: 0\r\n\r\n", "SSH-2.0\r\n\r\n",
               "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n");
  CHECK(bench::parse_http_answer(text).state == State::broken);
}

TEST_CASE("a head without end is refused") {
  const std::string text = "HTTP/1.1 200 OK\r\nX: " + std::string(64 << 10, 'x');
  CHECK(bench::parse_http_answer(text).state == State::broken);
}

TEST_CASE("bytes are written in base64 as RFC 4648 does") {
  CHECK(bench::base64("").empty());
  CHECK(bench::base64("f") == "Zg==");
  CHECK(bench::base64("fo") == "Zm8=");
  CHECK(bench::base64("foo") == "Zm9v");
  CHECK(bench::base64("foob") == "Zm9vYg==");
  CHECK(bench::base64("fooba") == "Zm9vYmE=");
  CHECK(bench::base64("foobar") == "Zm9vYmFy");
  CHECK(bench::base64("\xff\xfe\xfd") == "//79");
}

TEST_CASE("a request carries its length, and its token when there is one") {
  const auto address = bench::parse_address("127.0.0.1:80");
  const std::string with = bench::kiss_request(address, bench::kQueryPath, "abc", "{}");
  CHECK(with ==
        "POST /queries HTTP/1.1\r\nHost: 127.0.0.1:80\r\nContent-Type: application/json\r\n"
        "Authorization: Bearer abc\r\nContent-Length: 2\r\n\r\n{}");
  const std::string without = bench::kiss_request(address, bench::kAuthPath, {}, "{}");
  CHECK(without.find("Authorization") == std::string::npos);
}

TEST_CASE("files go into one body, each under its own name") {
  CHECK(
      bench::documents_body({"a", "b"}) ==
      R"({"files":[{"name":"file-0.txt","content":"YQ=="},{"name":"file-1.txt","content":"Yg=="}]})");
}

TEST_CASE("the access token is found in the answer of auth") {
  CHECK(bench::access_token_in(R"({"session_id":"1","access_token":"a.b-c","expires_in":1})") ==
        "a.b-c");
  CHECK(bench::access_token_in(R"({"detail":"no"})").empty());
}

TEST_CASE("invented text needs no escaping in JSON") {
  bench::Corpus corpus(1);
  const std::string text = corpus.passage(2'000) + corpus.question();
  CHECK(text.find_first_not_of("abcdefghijklmnopqrstuvwxyz .?") == std::string::npos);
}

TEST_CASE("the same seed invents the same text") {
  CHECK(bench::Corpus(7).passage(100) == bench::Corpus(7).passage(100));
}
