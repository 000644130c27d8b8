#include "config/environment.h"

#include <initializer_list>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

namespace parlance::config {
namespace {

struct Reading {
  Reading(std::initializer_list<std::pair<const std::string, std::string>> given) {
    const std::map<std::string, std::string> variables(given);
    const auto environment = [&](const char* name) {
      const auto found = variables.find(name);
      return found == variables.end() ? std::string() : found->second;
    };
    read_environment(settings, environment, problems);
  }
  std::vector<std::string> told() const {
    std::vector<std::string> out;
    for (const Problem& problem : problems) out.push_back(problem.text);
    return out;
  }

  Settings settings;
  std::vector<Problem> problems;
};

using Told = std::vector<std::string>;

}  // namespace

TEST_CASE("without variables the version is the program's and the environment is DEV") {
  const Reading reading{};
  CHECK_FALSE(reading.settings.net.version.empty());
  CHECK(reading.settings.net.environment == "DEV");
  CHECK(reading.problems.empty());
}

TEST_CASE("APP_VERSION is what the server calls itself") {
  CHECK(Reading{{"APP_VERSION", "1.2.3-rc1+b_4~5"}}.settings.net.version == "1.2.3-rc1+b_4~5");
}

TEST_CASE("an APP_VERSION that would have to be escaped, or is too long, is refused") {
  const std::string version = GENERATE(std::string("1 2"), "\"", "\n", "٣", std::string(65, '1'));
  CAPTURE(version);
  CHECK(Reading{{"APP_VERSION", version}}.told() ==
        Told{"APP_VERSION must be at most 64 letters, digits and . - + _ ~"});
}

TEST_CASE("ENV is one of three") {
  const std::string name = GENERATE("DEV", "TEST", "PRODUCTION");
  const Reading reading{{"ENV", name}};
  CHECK(reading.problems.empty());
  CHECK(reading.settings.net.environment == name);
}

TEST_CASE("another ENV is refused with those that are allowed") {
  const std::string name = GENERATE("production", "STAGING", "/etc/profile");
  CHECK(Reading{{"ENV", name}}.told() == Told{"ENV must be one of: DEV, TEST, PRODUCTION"});
}

TEST_CASE("in production a weak or well-known secret key is refused") {
  const std::string key = GENERATE("0123456789abcdef", "your-secure-random-secret-key");
  const Reading test{{"ENV", "TEST"}, {"ACCESS_TOKEN_SECRET_KEY", key}};
  CHECK(test.problems.empty());
  CHECK(test.settings.warnings.size() == 1);
  const Reading production{{"ENV", "PRODUCTION"}, {"ACCESS_TOKEN_SECRET_KEY", key}};
  REQUIRE(production.problems.size() == 1);
  CHECK(production.problems[0].text.find(key) == std::string::npos);
}

TEST_CASE("a DATABASE_URL of another kind is refused with the kind that is possible") {
  const std::string url = GENERATE("postgresql://user:secret@host/db", "/path", "rocksdb://", "x");
  const Reading reading{{"DATABASE_URL", url}};
  CHECK(reading.told() == Told{"DATABASE_URL must be rocksdb:///path/of/a/directory"});
}

TEST_CASE("a DATABASE_URL of SQLite is refused with how to import the file") {
  const Reading reading{{"DATABASE_URL", "sqlite+aiosqlite:///./agents.db"}};
  REQUIRE(reading.problems.size() == 1);
  CHECK(reading.problems[0].text.find("`parlance import-kiss FILE`") != std::string::npos);
}

}  // namespace parlance::config
