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

/// One Arabic letter (U+0600 to U+06FF) as search compares it: 0 for marks and the stretching line,
/// which are written or left out at will; a space for punctuation; one form for letters that people
/// use for one another.
char32_t folded_arabic(char32_t point) {
  if ((point >= 0x064b && point <= 0x065f) || point == 0x0640 || point == 0x0670) return 0;
  if (point == 0x060c || point == 0x061b || point == 0x061f || point == 0x06d4 ||
      (point >= 0x066a && point <= 0x066d)) {
    return ' ';
  }
  if (point == 0x0622 || point == 0x0623 || point == 0x0625) return 0x0627;  // Alef.
  if (point == 0x0649) return 0x064a;                                        // Yeh.
  if (point == 0x0629) return 0x0647;                                        // Heh.
  return point;
}

/// `text`, which is valid UTF-8, as search compares it: words between spaces, ASCII in lower case,
/// Arabic folded; other letters as they are.
std::string folded(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto next = static_cast<unsigned char>(i + 1 < text.size() ? text[i + 1] : 0);
    if (byte < 0x80) {
      const bool upper = byte >= 'A' && byte <= 'Z';
      const bool word = upper || (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9');
      out += word ? static_cast<char>(upper ? byte + 32 : byte) : ' ';
    } else if (byte >= 0xd8 && byte <= 0xdb) {
      const char32_t point = folded_arabic((byte & 0x1fU) << 6 | (next & 0x3fU));
      if (point == ' ') out += ' ';
      if (point > ' ') {
        out += static_cast<char>(0xc0 | point >> 6);
        out += static_cast<char>(0x80 | (point & 0x3f));
      }
      i += 1;
    } else if (byte == 0xe2 && (next == 0x80 || next == 0x81)) {
      out += ' ';  // U+2000 to U+207F: dashes, quotes, marks of direction.
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  for (const char c : folded(text) + ' ') {
    if (c != ' ') {
      word += c;
    } else if (!word.empty()) {
      words.push_back(std::move(word));
      word.clear();
    }
  }
  return words;
}

/// The start of `text`, cut between characters.
std::string_view start_of(std::string_view text, std::size_t bytes_max) {
  std::size_t end = std::min(text.size(), bytes_max);
  while (end > 0 && end < text.size() && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) {
    --end;
  }
  return text.substr(0, end);
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
                                     start_of(text, kLineBytesMax))});
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
