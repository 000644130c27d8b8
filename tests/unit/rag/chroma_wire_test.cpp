#include "rag/chroma_wire.h"

#include <limits>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "base/json.h"

namespace parlance::rag {
namespace {

const std::string collection_id = "dfeb87a8-5db4-4eac-bb84-a0d615195720";

ChromaRecord record(const std::string& id, std::string document = "text") {
  return {id, {0.5F, -0.25F}, std::move(document), {{"doc", "d1"}}};
}

std::string collection_json(const std::string& id, const std::string& space) {
  return R"({"id":")" + id + R"(","name":"abc","metadata":{"n":3,"s":"t","f":1.5,"b":true},)" +
         R"("configuration_json":{"hnsw":{"space":")" + space + R"("},"spann":null}})";
}

}  // namespace

TEST_CASE("a filter is one condition, several joined, or nothing at all") {
  const std::vector<std::string> none;
  const std::vector<std::string> two{"a", "b\""};
  const auto equal = ChromaWhere::equal("doc", ChromaValue("d1"));
  const auto at_most = ChromaWhere::at_most("seq", -5);
  CHECK(equal.json() == R"({"doc":{"$eq":"d1"}})");
  CHECK(ChromaWhere::equal("b", true).json() == R"({"b":{"$eq":true}})");
  CHECK(at_most.json() == R"({"seq":{"$lte":-5}})");
  CHECK(ChromaWhere::none_of("x", two).json() == R"({"x":{"$nin":["a","b\""]}})");
  CHECK(ChromaWhere::none_of("x", none).matches_all());
  CHECK(ChromaWhere::all(std::vector<ChromaWhere>{}).matches_all());
  CHECK(ChromaWhere::all(std::vector{ChromaWhere(), equal}).json() == equal.json());
  CHECK(ChromaWhere::all(std::vector{equal, ChromaWhere(), at_most}).json() ==
        R"({"$and":[{"doc":{"$eq":"d1"}},{"seq":{"$lte":-5}}]})");
}

TEST_CASE("names that Chroma takes pass, and others are refused before it sees them") {
  for (const char* name : {"abc", "A_b-c.d", "1.2.3.x", "0ab"})
    CHECK(check_collection_name(name).has_value());
  CHECK(check_collection_name(std::string(512, 'a')).has_value());
  CHECK(check_collection_name(std::string(513, 'a')).has_error());
  for (const char* name :
       {"", "ab", "-abc", "abc-", "a..b", "a b", "caf\xc3\xa9", "1.2.3.4", "a/b"})
    CHECK(check_collection_name(name).has_error());
}

TEST_CASE("ids that would change a URL are refused") {
  CHECK(check_collection_id(collection_id).has_value());
  CHECK(check_collection_id("").has_error());
  CHECK(check_collection_id(std::string(36, '/')).has_error());
  CHECK(check_collection_id(collection_id + "0").has_error());
}

TEST_CASE("a list of records with a flaw is refused whole, and the sentence holds no text") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::vector<ChromaRecord> records{record("a"), record("b", "secret text")};
  CHECK(check_records(records).has_value());
  SECTION("no id") {
    records[1].id.clear();
  }
  SECTION("a document that is not UTF-8") {
    records[1].document += "\xff";
  }
  SECTION("a document that is too big") {
    records[1].document.assign((1 << 20) + 1, 'x');
  }
  SECTION("embeddings of two lengths") {
    records[1].embedding.push_back(1);
  }
  SECTION("no embedding") {
    records[0].embedding.clear();
    records[1].embedding.clear();
  }
  SECTION("a number that is not finite") {
    records[1].embedding[0] = nan;
  }
  SECTION("metadata that is not finite") {
    records[1].metadata["x"] = static_cast<double>(nan);
  }
  SECTION("metadata without a name") {
    records[1].metadata[""] = "x";
  }
  SECTION("metadata that is too big") {
    records[1].metadata["x"] = std::string(64 << 10, 'x');
  }
  const Status checked = check_records(records);
  REQUIRE(checked.has_error());
  CHECK(checked.error().code == Errc::invalid_argument);
  CHECK(checked.error().detail.starts_with("record "));
  CHECK(checked.error().detail.find("secret") == std::string::npos);
}

TEST_CASE("records are encoded as the lists that Chroma wants") {
  std::vector<ChromaRecord> records{record("a", "say \"\xd9\x85\""), record("b")};
  records[0].metadata = {{"at", std::int64_t{7}}, {"f", 2.0}, {"ok", false}};
  records[1].metadata.clear();
  std::size_t next = 0;
  const std::string body = encode_upsert(records, &next);
  CHECK(next == 2);
  CHECK(body ==
        "{\"ids\":[\"a\",\"b\"],\"embeddings\":[[0.5,-0.25],[0.5,-0.25]],"
        "\"documents\":[\"say \\\"\xd9\x85\\\"\",\"text\"],"
        "\"metadatas\":[{\"at\":7,\"f\":2.0,\"ok\":false},null]}");
}

TEST_CASE("many records are encoded in batches of bounded count and size, each of them once") {
  const std::size_t bytes = GENERATE(1, 10'000, 1'000'000);
  std::vector<ChromaRecord> records;
  records.reserve(600);
  for (int i = 0; i < 600; ++i) {
    records.push_back(record(std::to_string(i), i < 20 ? std::string(bytes, 'x') : "x"));
  }
  std::size_t next = 0;
  std::size_t count = 0;
  while (next < records.size()) {
    const std::size_t before = next;
    const std::string body = encode_upsert(records, &next);
    REQUIRE(next > before);
    const auto parsed = json::parse(body);
    REQUIRE(parsed.has_value());
    const auto& ids = (*parsed)["ids"];
    REQUIRE(ids.Size() == next - before);
    REQUIRE(ids.Size() <= 256);
    REQUIRE((body.size() <= (576 << 10) || ids.Size() == 1));
    for (const auto& id : ids.GetArray()) REQUIRE(id.GetString() == std::to_string(count++));
  }
  CHECK(count == records.size());
}

TEST_CASE("a query asks for what it needs, and filters only when told to") {
  const std::vector<float> embedding{1, 0};
  CHECK(
      encode_query(embedding, 4, {}) ==
      R"({"query_embeddings":[[1,0]],"n_results":4,"include":["documents","metadatas","distances"]})");
  CHECK(encode_query(embedding, 4, ChromaWhere::at_most("s", 1))
            .find(R"("where":{"s":{"$lte":1}})") != std::string::npos);
}

TEST_CASE("a query's answer is read in its order") {
  const auto matches = decode_query(
      R"({"ids":[["a","b"]],"embeddings":null,"documents":[["A",null]],"uris":null,)"
      R"("metadatas":[[{"at":1,"f":1.5,"doc":"d","b":true,"list":[1]},null]],"distances":[[0.25,1.5]]})");
  REQUIRE(matches.has_value());
  REQUIRE(matches->size() == 2);
  CHECK((*matches)[0].id == "a");
  CHECK((*matches)[0].document == "A");
  CHECK((*matches)[0].metadata ==
        ChromaMetadata{{"at", std::int64_t{1}}, {"f", 1.5}, {"doc", "d"}, {"b", true}});
  CHECK((*matches)[0].distance == 0.25F);
  CHECK((*matches)[1].document.empty());
  CHECK((*matches)[1].metadata.empty());
}

TEST_CASE("records asked for by id are read without a distance") {
  const auto matches = decode_get(R"({"ids":["a"],"documents":["A"],"metadatas":[null]})");
  REQUIRE(matches.has_value());
  REQUIRE(matches->size() == 1);
  CHECK((*matches)[0].document == "A");
}

TEST_CASE("an answer that is not what the API promises is an error") {
  const char* const body =
      GENERATE("", "hello", "[]", "{}", "null", "3", R"({"ids":[["a"]]})",
               R"({"ids":[["a"]],"documents":[["A"]],"metadatas":[[null]],"distances":[[]]})",
               R"({"ids":[["a"]],"documents":[["A"]],"metadatas":[[null]],"distances":[["x"]]})",
               R"({"ids":[[1]],"documents":[["A"]],"metadatas":[[null]],"distances":[[1]]})",
               R"({"ids":[["a"]],"documents":[[1]],"metadatas":[[null]],"distances":[[1]]})",
               R"({"ids":[],"documents":[],"metadatas":[],"distances":[]})",
               R"({"ids":[["a"]],"documents":null,"metadatas":null,"distances":null})",
               R"({"id":"../x","name":"abc"})", R"([{"id":1}])", "-1", "1.5");
  const auto is_refused = [](const auto& result) {
    return result.has_error() && result.error().code == Errc::unavailable;
  };
  CHECK(is_refused(decode_query(body)));
  CHECK(is_refused(decode_collection(body)));
  if (std::string_view(body) != "[]") CHECK(is_refused(decode_collections(body)));
  if (std::string_view(body) != "3") CHECK(is_refused(decode_count(body)));
  if (!std::string_view(body).starts_with("{\"ids\":[]")) CHECK(is_refused(decode_get(body)));
}

TEST_CASE("a collection that does not measure by cosine is refused") {
  const auto collection = decode_collection(collection_json(collection_id, "cosine"));
  REQUIRE(collection.has_value());
  CHECK(collection->id == collection_id);
  CHECK(collection->metadata ==
        ChromaMetadata{{"n", std::int64_t{3}}, {"s", "t"}, {"f", 1.5}, {"b", true}});
  const auto other = decode_collection(collection_json(collection_id, "l2"));
  REQUIRE(other.has_error());
  CHECK(other.error().code == Errc::failed_precondition);
}

TEST_CASE("a list of collections does not mind how any of them measures") {
  const auto list = decode_collections("[" + collection_json(collection_id, "l2") + "]");
  REQUIRE(list.has_value());
  CHECK(list->size() == 1);
}

TEST_CASE("a refusal is told by its status and by what Chroma calls it, never in its own words") {
  struct Case {
    int status;
    const char* body;
    Errc code;
  };
  const Case it = GENERATE(values<Case>({
      {404, R"({"error":"NotFoundError","message":"secret"})", Errc::not_found},
      {404, "<html>secret", Errc::unavailable},
      {405, "", Errc::unavailable},
      {301, "", Errc::unavailable},
      {401, R"({"error":"secret words"})", Errc::unavailable},
      {400, R"({"error":"InvalidArgumentError","message":"secret"})", Errc::internal},
      {422, R"({"error":"ChromaError","message":"secret"})", Errc::internal},
      {400,
       R"({"error":"InvalidArgumentError",)"
       R"("message":"Collection expecting embedding with dimension of 3, got 2"})",
       Errc::failed_precondition},
      {408, "", Errc::deadline_exceeded},
      {429, "", Errc::unavailable},
      {500, R"({"error":"InternalError","message":"secret"})", Errc::unavailable},
      {503, "secret", Errc::unavailable},
  }));
  const Error error = refusal_of(it.status, it.body);
  CHECK(error.code == it.code);
  CHECK(error.detail.find("secret") == std::string::npos);
}

}  // namespace parlance::rag
