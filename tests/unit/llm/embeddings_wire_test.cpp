#include "llm/embeddings_wire.h"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

namespace parlance::llm {
namespace {

std::string entry(const std::string& index, const std::string& numbers) {
  return R"({"object":"embedding","index":)" + index + R"(,"embedding":)" + numbers + "}";
}

std::string answer(const std::string& entries) {
  return R"({"object":"list","data":[)" + entries + R"(],"usage":{"prompt_tokens":3}})";
}

}  // namespace

TEST_CASE("texts are encoded as a request for plain numbers") {
  const std::vector<std::string> texts{"a \"b\"", "\xd9\x85"};
  CHECK(encode_embeddings_request("m", texts) ==
        "{\"model\":\"m\",\"encoding_format\":\"float\",\"input\":[\"a \\\"b\\\"\",\"\xd9\x85\"]}");
}

TEST_CASE("vectors are put in the order of the texts and have the length 1") {
  const auto vectors =
      decode_embeddings(answer(entry("1", "[0,-2]") + "," + entry("0", "[3,4.0]")), 2, 8, "");
  REQUIRE(vectors.has_value());
  CHECK((*vectors)[0] == std::vector<float>{0.6F, 0.8F});
  CHECK((*vectors)[1] == std::vector<float>{0, -1});
}

TEST_CASE("an answer that is not one sound vector for each text is refused") {
  const std::string one = entry("0", "[1,0]");
  const std::string body = GENERATE_COPY(
      std::string("[]"), std::string("{}"), std::string(R"({"data":3})"), answer(""), answer(one),
      answer(one + "," + one), answer(one + "," + entry("2", "[1,0]")),
      answer(one + "," + entry("-1", "[1,0]")), answer(one + "," + entry("1", "[1,0,0]")),
      answer(one + "," + entry("1", "[]")), answer(one + "," + entry("1", "[0,0]")),
      answer(one + "," + entry("1", "[1,\"x\"]")), answer(one + "," + entry("1", "[1,null]")),
      answer(one + "," + entry("1", "[1e200,1e200]")), answer(one + "," + entry("1", "\"base64\"")),
      answer(one + ",7"), answer(one + R"(,{"embedding":[1,0]})"),
      answer(entry("0", "[1,1,1,1]") + "," + entry("1", "[1,1,1,1]")),
      answer(one + "," + one + "," + entry("1", "[1,0]")));
  const auto vectors = decode_embeddings(body, 2, 3, "");
  REQUIRE(vectors.has_error());
  CHECK(vectors.error().code == Errc::failed_precondition);
}

TEST_CASE("an answer that is not JSON may be better the next time") {
  const auto vectors = decode_embeddings("<html>", 1, 3, "");
  REQUIRE(vectors.has_error());
  CHECK(vectors.error().code == Errc::unavailable);
}

TEST_CASE("an error object is quoted without the key") {
  const auto vectors =
      decode_embeddings(R"({"error":{"message":"no model for sk-1"}})", 1, 3, "sk-1");
  REQUIRE(vectors.has_error());
  CHECK(vectors.error().detail == "reported an error: no model for ***");
}

}  // namespace parlance::llm
