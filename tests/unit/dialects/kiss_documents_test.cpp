#include "dialects/kiss_documents.h"

#include <string>

#include <catch2/catch.hpp>

using namespace parlance;
using namespace parlance::dialects;

namespace {

std::variant<StoreDocuments, Problem> parse(std::string body, const kiss::DocumentLimits& limits) {
  int drawn = 0;
  const std::size_t bytes = body.size();
  return kiss::parse_documents(
      body, 0, bytes, [&] { return "drawn-" + std::to_string(++drawn); }, limits);
}

std::vector<NewDocument> documents(std::string body, const kiss::DocumentLimits& limits = {}) {
  auto parsed = parse(std::move(body), limits);
  if (const auto* problem = std::get_if<Problem>(&parsed)) FAIL(problem->detail);
  return std::get<StoreDocuments>(parsed).documents;
}

Problem refusal(std::string body, const kiss::DocumentLimits& limits = {}) {
  auto parsed = parse(std::move(body), limits);
  REQUIRE(std::holds_alternative<Problem>(parsed));
  return std::get<Problem>(parsed);
}

std::string one_file(const std::string& members) {
  return R"({"files":[{)" + members + "}]}";
}

std::string one_text(const std::string& members) {
  return R"({"documents":[{)" + members + "}]}";
}

}  // namespace

TEST_CASE("files are decoded and get the metadata beside them") {
  const auto files = documents(
      R"({"files":[{"name":"a.txt","content":"Zm9v"},{"content":"Zg","name":"b\u002etxt"}],)"
      R"("metadata":{"k":[1,2.50,{"x":"\u0061\n"}],"n":-1e300,"t":true,"z":null,"e":{},"l":[]}})");
  REQUIRE(files.size() == 2);
  CHECK(files[0].id == "drawn-1");
  CHECK(files[0].name == "a.txt");
  CHECK(files[0].content == "foo");
  CHECK(files[0].is_file);
  CHECK(files[0].metadata ==
        R"({"k":[1,2.50,{"x":"a\n"}],"n":-1e300,"t":true,"z":null,"e":{},"l":[]})");
  CHECK(files[1].name == "b.txt");
  CHECK(files[1].content == "f");
  CHECK(files[1].metadata == files[0].metadata);
}

TEST_CASE("texts keep their ids and their own metadata") {
  const auto texts = documents(
      R"({"metadata":{"all":1},"documents":[{"id":"x","content":"سلام","metadata":{"a":"b"}},)"
      R"({"content":"two","metadata":null,"other":{"metadata":{"no":[{}]}}},{"id":null,"content":"3"}]})");
  REQUIRE(texts.size() == 3);
  CHECK(texts[0].id == "x");
  CHECK(texts[0].name == "x");
  CHECK(texts[0].content == "سلام");
  CHECK_FALSE(texts[0].is_file);
  CHECK(texts[0].metadata == R"({"a":"b"})");
  CHECK(texts[1].id == "drawn-1");
  CHECK(texts[1].metadata == R"({"all":1})");
  CHECK(texts[2].id == "drawn-2");
}

TEST_CASE("a document without metadata has an empty object") {
  CHECK(documents(one_text(R"("content":"c")"))[0].metadata == "{}");
}

TEST_CASE("a part of a longer text is read and no byte behind it") {
  std::string frame = R"({"event":"ON_STORE","data":{"documents":[{"content":"c"}]}, "x":1})";
  const std::size_t begin = frame.find("{\"doc");
  const std::size_t bytes = frame.find(", \"x\"") - begin;
  auto parsed = kiss::parse_documents(frame, begin, bytes, [] { return std::string("i"); });
  REQUIRE(std::holds_alternative<StoreDocuments>(parsed));
  CHECK(std::get<StoreDocuments>(parsed).documents[0].content == "c");
}

TEST_CASE("bad base64 is 400 and names the file") {
  const Problem problem = refusal(one_file(R"("name":"a.pdf","content":"Zm9*")"));
  CHECK(problem.status == 400);
  CHECK(problem.detail == "the content of \"a.pdf\" is not base64");
}

TEST_CASE("documents that cannot be read are 400") {
  const std::string body =
      GENERATE(as<std::string>(), "", "[]", "null", "7", "{", R"({"documents":[{"content":"c"}])",
               R"({"documents":[{"content":"c"}]} x)", R"({"documents":[{"content":"c"]})",
               std::string("{\"documents\":[]\0}", 17),
               R"({"x":)" + std::string(100, '[') + std::string(100, ']') + "}");
  CAPTURE(body);
  CHECK(refusal(body).status == 400);
}

TEST_CASE("documents that are not as they should be are 422") {
  const std::string body = GENERATE(
      as<std::string>(), "{}", R"({"files":null})", R"({"files":[]})", R"({"documents":[]})",
      R"({"files":{}})", R"({"documents":"x"})", R"({"documents":["x"]})", R"({"files":[null]})",
      R"({"files":[[]]})", R"({"documents":[{"content":"c"}],"files":[]})",
      R"({"documents":[{"content":"c"}],"documents":[{"content":"d"}]})",
      R"({"documents":[{"content":"c"}],"metadata":[]})",
      R"({"documents":[{"content":"c"}],"metadata":"m"})", one_text(R"("id":"x")"),
      one_text(R"("content":"")"), one_text(R"("content":1)"), one_text(R"("content":{"a":1})"),
      one_text(R"("content":["a"])"), one_text(R"("content":"c","id":"")"),
      one_text(R"("content":"c","id":5)"), one_text(R"("content":"c","id":"a\nb")"),
      one_text(R"("content":"c","metadata":1)"), one_text(R"("content":"c","metadata":[1])"),
      one_text("\"content\":\"\xff\""), one_text("\"content\":\"c\",\"metadata\":{\"a\":\"\xff\"}"),
      one_text(R"("content":"c","metadata":{"a":"\udc00"})"), one_text(R"("content":"\udc00")"),
      one_text(R"("content":"c","id":")" + std::string(kDocumentIdBytesMax + 1, 'x') + "\""),
      one_file(R"("content":"Zm9v")"), one_file(R"("name":"","content":"Zm9v")"),
      one_file(R"("name":"a.txt")"), one_file(R"("name":"a.txt","content":"")"),
      one_file(R"("name":"a\u0000","content":"Zm9v")"),
      one_file(R"("content":"Zm9v","name":")" + std::string(kDocumentNameBytesMax + 1, 'x') + "\""),
      R"({"documents":[{"id":"x","content":"c"},{"id":"x","content":"d"}]})");
  CAPTURE(body);
  CHECK(refusal(body).status == 422);
}

TEST_CASE("what is wrong with a document is pointed at") {
  const Problem problem = refusal(R"({"documents":[{"content":"c"},{"id":"x","content":7}]})");
  REQUIRE(problem.errors.size() == 1);
  CHECK(problem.errors[0].pointer == "/documents/1/content");
  CHECK(problem.detail == "the body is not valid: `content` must be a string");
}

TEST_CASE("one document more than allowed is refused") {
  const std::string body = R"({"documents":[{"content":"a"},{"content":"b"},{"content":"c"}]})";
  CHECK(documents(body, {.documents_max = 3}).size() == 3);
  CHECK(refusal(body, {.documents_max = 2}).status == 422);
}

TEST_CASE("metadata has a limit of bytes and of depth") {
  const std::string body = one_text(R"("content":"c","metadata":{"a":{"b":[]}})");
  CHECK(documents(body, {.metadata_bytes_max = 14, .metadata_depth_max = 3}).size() == 1);
  CHECK(refusal(body, {.metadata_bytes_max = 13}).status == 422);
  CHECK(refusal(body, {.metadata_depth_max = 2}).status == 422);
}
