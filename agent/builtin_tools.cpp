#include "agent/builtin_tools.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <muParser.h>

#include "base/clock.h"
#include "base/json.h"

namespace parlance::agent {
namespace {

class CurrentTime final : public Tool {
 public:
  const ToolDeclaration& declaration() const noexcept override { return declaration_; }
  AfterCrash after_crash() const noexcept override { return AfterCrash::repeat; }
  Result<std::string> run(const ToolInput& /*input*/) const override {
    return to_rfc3339(wall_now());
  }

 private:
  ToolDeclaration declaration_{"current_time", "The current date and time in UTC, RFC 3339.",
                               R"({"type":"object","properties":{},"additionalProperties":false})"};
};

class Calculator final : public Tool {
 public:
  const ToolDeclaration& declaration() const noexcept override { return declaration_; }
  AfterCrash after_crash() const noexcept override { return AfterCrash::repeat; }
  Result<std::string> run(const ToolInput& input) const override {
    const auto arguments = json::parse(input.arguments);
    if (!arguments) return arguments.error();
    const auto* expression = json::find_string(*arguments, "expression");
    if (expression == nullptr) return Error{Errc::invalid_argument, "no expression"};
    try {
      mu::Parser parser;
      parser.SetExpr(std::string(json::view(*expression)));
      const double value = parser.Eval();
      if (!std::isfinite(value)) {
        return Error{Errc::invalid_argument, "the result is not a finite number"};
      }
      return fmt::format("{}", value);
    } catch (const mu::Parser::exception_type& e) {
      return Error{Errc::invalid_argument, json::to_valid_utf8(e.GetMsg())};
    }
  }

 private:
  ToolDeclaration declaration_{
      "calculator",
      "Evaluates an arithmetic expression: + - * / ^, parentheses, sqrt, sin, cos, ln, log10, "
      "exp, abs, min, max, and more. Numbers use a point.",
      R"({"type":"object","properties":{"expression":{"type":"string","minLength":1,"maxLength":1000}},)"
      R"("required":["expression"],"additionalProperties":false})"};
};

/// ASCII letters in lower case; other bytes as they are, which keeps Arabic and UTF-8 intact.
std::string folded(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  const std::string lower = folded(text);
  for (const char c : lower) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x80 || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
      word += c;
    } else if (!word.empty()) {
      words.push_back(std::move(word));
      word.clear();
    }
  }
  if (!word.empty()) words.push_back(std::move(word));
  return words;
}

class HistorySearch final : public Tool {
 public:
  explicit HistorySearch(ReadHistory read) : read_(std::move(read)) {}
  const ToolDeclaration& declaration() const noexcept override { return declaration_; }
  AfterCrash after_crash() const noexcept override { return AfterCrash::repeat; }

  Result<std::string> run(const ToolInput& input) const override {
    const auto arguments = json::parse(input.arguments);
    if (!arguments) return arguments.error();
    const auto* query = json::find_string(*arguments, "query");
    if (query == nullptr) return Error{Errc::invalid_argument, "no query"};
    const auto events = read_(input.session);
    if (!events) return events.error();
    return best_matches(words_of(json::view(*query)), *events);
  }

 private:
  struct Match {
    std::size_t score;
    EventSeq seq;
    std::string line;
  };

  static std::string best_matches(const std::vector<std::string>& words,
                                  const std::vector<RecordedEvent>& events) {
    constexpr std::size_t kMatchesMax = 5;
    constexpr std::size_t kLineBytesMax = 500;
    std::vector<Match> matches;
    for (const RecordedEvent& recorded : events) {
      std::string_view text;
      std::string_view who;
      if (const auto* message = std::get_if<MessageAccepted>(&recorded.event)) {
        text = message->text;
        who = "user";
      } else if (const auto* step = std::get_if<StepRecorded>(&recorded.event);
                 step != nullptr && step->type == StepType::final_answer) {
        text = step->text;
        who = "agent";
      } else {
        continue;
      }
      const std::string lower = folded(text);
      const auto score = static_cast<std::size_t>(std::count_if(
          words.begin(), words.end(),
          [&](const std::string& word) { return lower.find(word) != std::string::npos; }));
      if (score == 0) continue;
      matches.push_back({score, recorded.cursor.seq,
                         fmt::format("[{} {}] {}", to_history_time(recorded.time), who,
                                     json::to_valid_utf8(text.substr(0, kLineBytesMax)))});
    }
    std::sort(matches.begin(), matches.end(), [](const Match& a, const Match& b) {
      return a.score != b.score ? a.score > b.score : a.seq > b.seq;
    });
    if (matches.empty()) return "Nothing in this conversation matches.";
    std::string out;
    for (std::size_t i = 0; i < std::min(matches.size(), kMatchesMax); ++i) {
      out += (i == 0 ? "" : "\n") + matches[i].line;
    }
    return out;
  }

  ReadHistory read_;
  ToolDeclaration declaration_{
      "search_history",
      "Searches the earlier messages and answers of this conversation for words, best first.",
      R"({"type":"object","properties":{"query":{"type":"string","minLength":1,"maxLength":1000}},)"
      R"("required":["query"],"additionalProperties":false})"};
};

}  // namespace

std::unique_ptr<Tool> make_current_time_tool() {
  return std::make_unique<CurrentTime>();
}
std::unique_ptr<Tool> make_calculator_tool() {
  return std::make_unique<Calculator>();
}
std::unique_ptr<Tool> make_history_search_tool(ReadHistory read) {
  return std::make_unique<HistorySearch>(std::move(read));
}

std::vector<std::unique_ptr<Tool>> make_builtin_tools(ReadHistory read) {
  std::vector<std::unique_ptr<Tool>> out;
  out.push_back(make_current_time_tool());
  out.push_back(make_calculator_tool());
  out.push_back(make_history_search_tool(std::move(read)));
  return out;
}

}  // namespace parlance::agent
