#include "schemas/record_codec.h"

#include <string>
#include <string_view>

#include <catch2/catch.hpp>

#include "tests/unit/base/seeded.h"

namespace parlance {
namespace {

using namespace std::string_view_literals;

const ClientRecord kClient{Scope::persistent, LifecycleState::closed, "h", {300}, 2};
const DocumentSet kSet{3, {1}, {{"d", "n", "t", "{}", 5, 1}}, {"a", "b"}};
const Passage kPassage{1, 2, 300, "hi", "w"};

TEST_CASE("records have the bytes that docs/formats.md shows") {
  CHECK(encode(kClient) == "\x01\x01\x03\x01h\xac\x02\x02"sv);
  CHECK(encode(kSet) ==
        "\x01\x03\x01\x02\x01"
        "a\x01"
        "b\x01\x01"
        "d\x01n\x01t\x02{}\x05\x01"sv);
  CHECK(encode(kPassage) == "\x01\x01\x02\xac\x02\x02hi\x01w"sv);
}

TEST_CASE("records survive encoding and decoding") {
  CHECK(*decode_client(encode(kClient)) == kClient);
  CHECK(*decode_document_set(encode(kSet)) == kSet);
  CHECK(*decode_passage(encode(kPassage)) == kPassage);
}

TEST_CASE("records that are cut short, too long or of another version are corrupted") {
  for (const std::string& whole : {encode(kClient), encode(kSet), encode(kPassage)}) {
    for (std::size_t size = 0; size < whole.size(); ++size) {
      const std::string_view cut = std::string_view(whole).substr(0, size);
      CHECK_FALSE(decode_client(cut).has_value());
    }
    const std::string other = '\x02' + whole.substr(1);
    CHECK_FALSE(decode_client(other).has_value());
    CHECK_FALSE(decode_document_set(other).has_value());
    CHECK_FALSE(decode_passage(other).has_value());
  }
  CHECK_FALSE(decode_client(encode(kClient) + 'x').has_value());
  CHECK_FALSE(decode_document_set(encode(kSet) + 'x').has_value());
  CHECK_FALSE(decode_passage(encode(kPassage) + 'x').has_value());
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
