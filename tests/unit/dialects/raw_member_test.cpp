#include "dialects/raw_member.h"

#include <string>

#include <catch2/catch.hpp>

using namespace parlance::dialects;

namespace {

std::string found(std::string_view object, std::string_view name = "data") {
  const auto member = find_raw_member(object, name);
  return member ? std::string(object.substr(member->begin, member->bytes)) : "nothing";
}

}  // namespace

TEST_CASE("a member is found as it is written") {
  CHECK(found(R"({"data":1})") == "1");
  CHECK(found(R"( { "a" : [1,{"data":2}] , "data" : { "b" : "}" } } )") == R"({ "b" : "}" })");
  CHECK(found(R"({"data":"a\"b,\\"})") == R"("a\"b,\\")");
}

TEST_CASE("the last of two members counts") {
  CHECK(found(R"({"data":1,"data":2})") == "2");
}

TEST_CASE("a name inside of another value is not found") {
  CHECK(found(R"({"a":{"data":1},"b":"data","c":["data"]})") == "nothing");
  CHECK(found(R"(["data"])") == "nothing");
}

TEST_CASE("broken JSON ends the search") {
  const char* const text = GENERATE("", "{", "{\"", R"({"data)", R"({"data")", R"({"data" 1})",
                                    R"({"a":1}{"data":1})", R"({"a\)");
  CAPTURE(text);
  CHECK(found(text) == "nothing");
  CHECK(found(R"({"data":)").empty());
}
