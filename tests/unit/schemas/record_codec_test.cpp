#include "schemas/record_codec.h"

#include <string>
#include <string_view>

#include <catch2/catch.hpp>

#include "tests/unit/base/seeded.h"

namespace parlance {
namespace {

using namespace std::string_view_literals;

const ClientRecord some_client{Scope::persistent, LifecycleState::closed, "h", {300}, 2};
const DocumentSet some_set{3, {1}, {{"d", "n", "t", "{}", 5, 1}}, {"a", "b"}};
const Passage some_passage{1, 2, 300, "hi", "w"};

TEST_CASE("records have the bytes that docs/formats.md shows") {
  CHECK(encode(some_client) == "\x01\x01\x03\x01h\xac\x02\x02"sv);
  CHECK(encode(some_set) ==
        "\x01\x03\x01\x02\x01"
        "a\x01"
        "b\x01\x01"
        "d\x01n\x01t\x02{}\x05\x01"sv);
  CHECK(encode(some_passage) == "\x01\x01\x02\xac\x02\x02hi\x01w"sv);
}

TEST_CASE("agents and platform sessions survive encoding and decoding") {
  Agent agent{{"a"}, {"n", "d", "p", {}, 0.7, {}, {"t"}}, {300}, {301}, 7};
  CHECK(*decode_agent(encode(agent)) == agent);
  agent.settings = {"n", {}, "p", "m", {}, "v", {}};
  CHECK(*decode_agent(encode(agent)) == agent);
  const PlatformSession session{{"s"}, {{"a"}, "t", R"({"k":1})"}, {1}, {2}, 3};
  CHECK(*decode_platform_session(encode(session)) == session);
  CHECK_FALSE(decode_agent(encode(session)).has_value());
}

TEST_CASE("records survive encoding and decoding") {
  CHECK(*decode_client(encode(some_client)) == some_client);
  CHECK(*decode_document_set(encode(some_set)) == some_set);
  CHECK(*decode_passage(encode(some_passage)) == some_passage);
}

TEST_CASE("records that are cut short, too long or of another version are corrupted") {
  for (const std::string& whole : {encode(some_client), encode(some_set), encode(some_passage)}) {
    for (std::size_t size = 0; size < whole.size(); ++size) {
      const std::string_view cut = std::string_view(whole).substr(0, size);
      CHECK_FALSE(decode_client(cut).has_value());
    }
    const std::string other = '\x02' + whole.substr(1);
    CHECK_FALSE(decode_client(other).has_value());
    CHECK_FALSE(decode_document_set(other).has_value());
    CHECK_FALSE(decode_passage(other).has_value());
  }
  CHECK_FALSE(decode_client(encode(some_client) + 'x').has_value());
  CHECK_FALSE(decode_document_set(encode(some_set) + 'x').has_value());
  CHECK_FALSE(decode_passage(encode(some_passage) + 'x').has_value());
}

TEST_CASE("a passage's id survives printing and parsing, and nothing else is one") {
  CHECK(to_string(PassageId{12, 7}) == "12-7");
  CHECK(parse_passage_id("12-7") == PassageId{12, 7});
  for (const char* text : {"", "-", "1-", "-1", "1", "1-2-3", "1-4294967296", "a-1", " 1-2"}) {
    CHECK_FALSE(parse_passage_id(text).has_value());
  }
}

}  // namespace
}  // namespace parlance
