#include "dialects/problem.h"

#include <catch2/catch.hpp>

using namespace parlance;
using dialects::Problem;

TEST_CASE("every failure has a status") {
  const std::pair<Errc, int> expected[] = {
      {Errc::invalid_argument, 400},   {Errc::unauthenticated, 401},
      {Errc::permission_denied, 403},  {Errc::not_found, 404},
      {Errc::already_exists, 422},     {Errc::failed_precondition, 409},
      {Errc::resource_exhausted, 429}, {Errc::deadline_exceeded, 504},
      {Errc::unavailable, 503},        {Errc::cancelled, 409},
      {Errc::corrupted, 500},          {Errc::internal, 500}};
  for (const auto& [code, status] : expected) {
    INFO(to_string(code));
    CHECK(dialects::status_of(code) == status);
    CHECK(dialects::title_of(status) != "Error");
  }
}

TEST_CASE("a problem has the fields of RFC 9457") {
  CHECK(
      dialects::to_json({.status = 404, .detail = "no \"x\""}, "r1") ==
      R"({"type":"about:blank","title":"Not Found","status":404,"detail":"no \"x\"","instance":"r1"})");
}

TEST_CASE("validation errors are listed") {
  const std::string body = dialects::to_json(
      {.status = 422, .detail = "d", .errors = {{"/a", "m1"}, {"/b", "m2"}}}, "r1");
  CHECK(
      body.find(R"("errors":[{"pointer":"/a","message":"m1"},{"pointer":"/b","message":"m2"}])") !=
      std::string::npos);
}

TEST_CASE("what may work later says when") {
  CHECK(dialects::to_problem({Errc::unavailable, "x"}).retry_after.count() > 0);
  CHECK(dialects::to_problem({Errc::resource_exhausted, "x"}).retry_after.count() > 0);
  CHECK(dialects::to_problem({Errc::not_found, "x"}).retry_after.count() == 0);
}

TEST_CASE("bugs are not explained to strangers") {
  const Problem problem = dialects::to_problem({Errc::internal, "secret path"});
  CHECK(problem.status == 500);
  CHECK(problem.detail.find("secret") == std::string::npos);
}
