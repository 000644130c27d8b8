#include "agent/builtin_tools.h"

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "base/json.h"

namespace parlance::agent {
namespace {

// ---- Calculator ----

Result<std::string> calculate(const std::string& expression) {
  std::string arguments = "{\"expression\":";
  json::append_string(arguments, expression);
  return make_calculator_tool()->run({{"s"}, "key", arguments + "}"});
}

TEST_CASE("the calculator evaluates expressions") {
  const auto [expression, result] = GENERATE(table<std::string, std::string>({
      {"1+2*3", "7"},
      {"(1 + 2) * 3", "9"},
      {"2^10", "1024"},
      {"-2^2", "-4"},
      {"10/4", "2.5"},
      {"sqrt(2)^2 > 1.99", "1"},
      {"min(3, 1, 2)", "1"},
      {"abs(-5)", "5"},
      {"1e3", "1000"},
      {"0.1 + 0.2", "0.30000000000000004"},
      {"9007199254740993", "9007199254740992"},
      {"ln(_e)", "1"},
  }));
  CAPTURE(expression);
  const auto value = calculate(expression);
  REQUIRE(value.has_value());
  CHECK(*value == result);
}

TEST_CASE("an expression that cannot be evaluated is refused with the reason") {
  const std::string expression =
      GENERATE("1+", "(1", "1)", "x+1", "1/0", "sqrt(-1)", "0/0", "foo(1)", "1 2", "٢+٢", "\"a\"");
  CAPTURE(expression);
  const auto value = calculate(expression);
  REQUIRE_FALSE(value.has_value());
  CHECK(value.error().code == Errc::invalid_argument);
  CHECK_FALSE(value.error().detail.empty());
  CHECK(json::valid_utf8(value.error().detail));
}

TEST_CASE("the reason of a refused expression is valid UTF-8 wherever the parser cuts it") {
  for (const std::string expression : {"س", "1+س", "سسسس(", "1 + مجموع(2)"}) {
    const auto value = calculate(expression);
    REQUIRE_FALSE(value.has_value());
    CHECK(json::valid_utf8(value.error().detail));
  }
}

TEST_CASE("a deeply nested expression is answered or refused, not a crash") {
  const std::string deep = std::string(490, '(') + "1" + std::string(490, ')');
  const auto value = calculate(deep);
  if (value) CHECK(*value == "1");
}

TEST_CASE("the calculator keeps nothing between two calls") {
  CHECK_FALSE(calculate("a = 5").has_value());
  CHECK_FALSE(calculate("a").has_value());
}

TEST_CASE("a calculator call without an expression is refused") {
  CHECK_FALSE(make_calculator_tool()->run({{"s"}, "key", "{}"}).has_value());
}

// ---- Current time ----

TEST_CASE("the current time is RFC 3339 in UTC") {
  const auto value = make_current_time_tool()->run({{"s"}, "key", "{}"});
  REQUIRE(value.has_value());
  CHECK_THAT(*value, Catch::Matches(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)"));
}

// ---- History search ----

class Log {
 public:
  Log& user(const std::string& text) { return add(MessageAccepted{{"m"}, text, OnBusy::queue}); }
  Log& agent(const std::string& text, StepType type = StepType::final_answer) {
    return add(StepRecorded{{"m"}, type, text, {}, {}});
  }
  std::string search(const std::string& query) const {
    const auto tool = make_history_search_tool([this](const SessionId& session) {
      CHECK(session.text == "s");
      return Result<std::vector<RecordedEvent>>(events_);
    });
    std::string arguments = "{\"query\":";
    json::append_string(arguments, query);
    auto found = tool->run({{"s"}, "key", arguments + "}"});
    REQUIRE(found.has_value());
    return *found;
  }

 private:
  Log& add(Event event) {
    events_.push_back({{1, events_.size() + 1}, {0}, std::move(event)});
    return *this;
  }
  std::vector<RecordedEvent> events_;
};

constexpr const char* kNothing = "Nothing in this conversation matches.";

TEST_CASE("a search finds an English message with its time and speaker") {
  CHECK(Log().user("My cat is called Tom.").user("What else?").search("CAT") ==
        "[1970-01-01 00:00:00 user] My cat is called Tom.");
}

TEST_CASE("a search finds an Arabic message") {
  CHECK(Log().user("قطتي اسمها مشمش.").user("ماذا أيضا؟").search("قطتي") ==
        "[1970-01-01 00:00:00 user] قطتي اسمها مشمش.");
}

TEST_CASE("Arabic punctuation is no part of a word") {
  CHECK(Log().user("أسكن في القاهرة.").search("القاهرة؟") ==
        "[1970-01-01 00:00:00 user] أسكن في القاهرة.");
}

TEST_CASE("Arabic marks and stretching do not hide a word") {
  CHECK(Log().user("هٰذَا كِتَابٌ جَمِيلٌ").search("كتاب") == "[1970-01-01 00:00:00 user] هٰذَا كِتَابٌ جَمِيلٌ");
  CHECK(Log().user("كتاب").search("كِتَاب") != kNothing);
  CHECK(Log().user("كتـــاب").search("كتاب") != kNothing);
}

TEST_CASE("a search finds answers but no plans and actions") {
  const Log log = Log().agent("The blue house").agent("blue plan", StepType::planning);
  CHECK(log.search("blue") == "[1970-01-01 00:00:00 agent] The blue house");
}

TEST_CASE("a search puts the message with more of the words first") {
  const std::string found =
      Log().user("red").user("red green").user("green").search("red green blue");
  CHECK(found.find("red green") < found.find("] red\n"));
}

TEST_CASE("of equal matches the newer comes first") {
  const std::string found = Log().user("blue one").user("blue two").search("blue");
  CHECK(found.find("blue two") < found.find("blue one"));
}

TEST_CASE("a search gives five matches at most") {
  Log log;
  for (int i = 0; i < 20; ++i) log.user("blue");
  const std::string found = log.search("blue");
  CHECK(std::count(found.begin(), found.end(), '\n') == 4);
}

TEST_CASE("a long match is cut between characters") {
  std::string text = "blue x";
  while (text.size() < 800) text += "س";
  const std::string found = Log().user(text).search("blue");
  CHECK(found.size() < 600);
  CHECK(json::valid_utf8(found));
  CHECK(found.find("\xef\xbf\xbd") == std::string::npos);
}

TEST_CASE("a search without a match says so") {
  CHECK(Log().user("red").search("blue") == kNothing);
  CHECK(Log().search("blue") == kNothing);
}

TEST_CASE("a search for punctuation alone finds nothing") {
  CHECK(Log().user("red?!").search("?! ؟") == kNothing);
}

TEST_CASE("an error of the log is the search's error") {
  const auto tool = make_history_search_tool([](const SessionId&) {
    return Result<std::vector<RecordedEvent>>(Error{Errc::unavailable, "disk"});
  });
  const auto found = tool->run({{"s"}, "key", R"({"query":"x"})"});
  REQUIRE_FALSE(found.has_value());
  CHECK(found.error().code == Errc::unavailable);
}

}  // namespace
}  // namespace parlance::agent
