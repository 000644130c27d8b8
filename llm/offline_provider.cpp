#include "llm/offline_provider.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/json.h"
#include "llm/passage_quotes.h"
#include "llm/text_folding.h"

namespace parlance::llm {
namespace {

/// Deltas in one turn of the event loop when there is no pause between them.
constexpr int kDeltasPerTurn = 8;

// What is looked at of a long conversation, so that a call stays cheap.
constexpr std::size_t kMessagesMax = 64;
constexpr std::size_t kMessageBytesMax = 1'024;
constexpr std::size_t kConversationBytesMax = 16'384;
constexpr std::size_t kTermsMax = 24;
constexpr std::size_t kQuotesMax = 3;
constexpr std::size_t kQuoteBytesMax = 240;
constexpr std::size_t kSentenceBytesMax = 600;  // Of a document: it is the answer.
constexpr std::size_t kOutputBytesMax = 4'096;

/// The sentences of one language.
struct Phrases {
  std::string_view offline;  ///< How every answer begins; also how earlier ones are known again.
  std::string_view nothing_found;
  std::string_view found;
  std::string_view you;
  std::string_view assistant;
  std::string_view calling;  ///< With the tool's name.
  std::string_view tool_said;
  std::string_view passages_found;
  std::string_view passages_silent;
  std::string_view how_to;
};

constexpr Phrases kEnglish{
    "I am the built-in offline provider; no language model is connected.",
    "I looked through this conversation and found nothing related to that.",
    "These earlier messages of this conversation are the most related:",
    "you",
    "assistant",
    "I will use the tool {}.",
    "The tool {} answered: {}",
    "These sentences of the documents fit the question best:",
    "The passages that were found in the documents do not answer that.",
    "To talk to a real model, set OPENAI_API_KEY (and OPENAI_BASE_URL and OPENAI_MODEL for another "
    "provider) and start the server again."};

constexpr Phrases kArabic{"أنا المزوّد المدمج دون اتصال؛ لا يوجد نموذج لغوي متصل.",
                          "بحثت في هذه المحادثة ولم أجد شيئًا ذا صلة.",
                          "هذه هي الرسائل السابقة الأكثر صلة في هذه المحادثة:",
                          "أنت",
                          "المساعد",
                          "سأستخدم الأداة {}.",
                          "أجابت الأداة {}: {}",
                          "هذه الجمل من المستندات هي الأنسب للسؤال:",
                          "المقاطع التي عُثر عليها في المستندات لا تجيب عن هذا السؤال.",
                          "للتحدث إلى نموذج حقيقي، اضبط OPENAI_API_KEY (ومعه OPENAI_BASE_URL و "
                          "OPENAI_MODEL لمزوّد آخر) ثم "
                          "أعد تشغيل الخادم."};

/// Calls `on_term(hash)` for each word of `text` of at least two letters. Words are compared by
/// hash; a collision of 64 bits would cost a wrong quotation.
template <class OnTerm>
void for_each_term(std::string_view text, OnTerm&& on_term) {
  constexpr std::uint64_t kOffset = 0xcbf29ce484222325ULL;
  constexpr std::uint64_t kPrime = 0x100000001b3ULL;
  std::uint64_t hash = kOffset;
  std::size_t letters = 0;
  const auto add = [&](std::uint64_t letter) {
    hash = (hash ^ letter) * kPrime;
    ++letters;
  };
  const auto end_word = [&] {
    if (letters > 1) on_term(hash);
    hash = kOffset;
    letters = 0;
  };
  for (std::size_t at = 0; at < text.size();) {
    const auto byte = static_cast<unsigned char>(text[at]);
    if (byte < 0x80) {
      ++at;
      if (kFoldedAscii[byte] != 0) {
        add(kFoldedAscii[byte]);
      } else {
        end_word();
      }
      continue;
    }
    const char32_t point = next_code_point(text, at);
    if (is_separator(point)) {
      end_word();
    } else if (!is_arabic_mark(point)) {
      add(folded(point));
    }
  }
  end_word();
}

/// Words of `text` if they are as long as usual; counting those of a long conversation would cost
/// more than the answer.
std::uint64_t estimate_words(std::string_view text) {
  constexpr std::size_t kBytesPerWord = 6;
  return (text.size() + kBytesPerWord - 1) / kBytesPerWord;
}

std::uint64_t count_words(std::string_view text) {
  std::uint64_t words = 0;
  for_each_term(text, [&](std::uint64_t) { ++words; });
  return words;
}

/// ASCII in lower case, Arabic without marks and with Arabic-Indic digits as 0 to 9.
std::string normalized(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t begin = at;
    const char32_t point = next_code_point(text, at);
    if (point >= 0x0660 && point <= 0x0669) {
      out += static_cast<char>('0' + (point - 0x0660));
    } else if (point == 0xd7) {
      out += '*';
    } else if (point == 0xf7) {
      out += '/';
    } else if (point < 0x80) {
      out += static_cast<char>(point >= 'A' && point <= 'Z' ? point + 32 : point);
    } else if (!is_arabic_mark(point)) {
      out += text.substr(begin, at - begin);
    }
  }
  return out;
}

bool mostly_arabic(std::string_view text) {
  int balance = 0;
  for (std::size_t at = 0; at < text.size();) {
    const char32_t point = next_code_point(text, at);
    if (is_arabic(point)) ++balance;
    if (point < 0x80 && kFoldedAscii[point] > '9') --balance;
  }
  return balance > 0;
}

bool contains_any(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::any_of(words.begin(), words.end(), [&](std::string_view word) {
    return text.find(word) != std::string_view::npos;
  });
}

/// The start of `text` on one line.
std::string quote(std::string_view text, std::size_t bytes_max = kQuoteBytesMax) {
  const std::string_view start = cut_utf8(text, bytes_max);
  std::string out;
  for (const char c : start) {
    const bool blank = c == ' ' || c == '\n' || c == '\r' || c == '\t';
    if (!blank) {
      out += c;
    } else if (!out.empty() && out.back() != ' ') {
      out += ' ';
    }
  }
  if (start.size() < text.size()) out += "…";
  return out;
}

bool is_own_answer(const ChatMessage& message) {
  return message.role == Role::assistant &&
         (message.text.starts_with(kEnglish.offline) || message.text.starts_with(kArabic.offline));
}

/// The most related of `messages` to `question`, best first: BM25 over the words of the question.
std::vector<const ChatMessage*> related(const std::vector<const ChatMessage*>& messages,
                                        std::string_view question) {
  std::vector<std::uint64_t> terms;
  for_each_term(cut_utf8(question, kMessageBytesMax), [&](std::uint64_t term) {
    if (terms.size() < kTermsMax && std::find(terms.begin(), terms.end(), term) == terms.end()) {
      terms.push_back(term);
    }
  });

  struct Scored {
    const ChatMessage* message = nullptr;
    std::array<std::uint16_t, kTermsMax> counts{};
    double length = 0;
    double score = 0;
  };
  std::vector<Scored> scored(messages.size());
  std::array<double, kTermsMax> messages_with{};
  double length_sum = 0;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    Scored& entry = scored[i];
    entry.message = messages[i];
    for_each_term(cut_utf8(messages[i]->text, kMessageBytesMax), [&](std::uint64_t term) {
      entry.length += 1;
      const auto found = std::find(terms.begin(), terms.end(), term);
      if (found != terms.end()) ++entry.counts[static_cast<std::size_t>(found - terms.begin())];
    });
    length_sum += entry.length;
    for (std::size_t t = 0; t < terms.size(); ++t) messages_with[t] += entry.counts[t] > 0 ? 1 : 0;
  }

  // The usual constants: how soon repetition stops counting, how much length does.
  constexpr double kSaturation = 1.2;
  constexpr double kLengthWeight = 0.75;
  const double count = static_cast<double>(messages.size());
  const double length_mean = std::max(1.0, length_sum / std::max(1.0, count));
  for (Scored& entry : scored) {
    const double length_norm = 1 - kLengthWeight + kLengthWeight * entry.length / length_mean;
    for (std::size_t t = 0; t < terms.size(); ++t) {
      const double tf = entry.counts[t];
      const double rarity =
          std::log(1 + (count - messages_with[t] + 0.5) / (messages_with[t] + 0.5));
      entry.score += rarity * tf * (kSaturation + 1) / (tf + kSaturation * length_norm);
    }
  }
  // Newer ones first among equals.
  std::reverse(scored.begin(), scored.end());
  std::stable_sort(scored.begin(), scored.end(),
                   [](const Scored& a, const Scored& b) { return a.score > b.score; });
  std::vector<const ChatMessage*> best;
  for (const Scored& entry : scored) {
    // What shares no more than an "is" with the question falls far behind the first.
    if (best.size() == kQuotesMax || entry.score <= scored.front().score / 2) break;
    best.push_back(entry.message);
  }
  return best;
}

/// The longest arithmetic expression in `text` that has an operator between two numbers.
std::optional<std::string> find_expression(std::string_view text, bool plainly_asked) {
  constexpr std::string_view kInside = "0123456789.+-*/^() ";
  std::string_view best;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t begin = text.find_first_of("0123456789(-", at);
    if (begin == std::string_view::npos) break;
    const std::size_t end = std::min(text.find_first_not_of(kInside, begin), text.size());
    std::string_view part = text.substr(begin, end - begin);
    at = end;
    while (!part.empty() &&
           std::string_view("0123456789)").find(part.back()) == std::string_view::npos) {
      part.remove_suffix(1);
    }
    if (part.size() > best.size()) best = part;
  }
  int open = 0;
  bool in_number = false;
  int numbers = 0;
  bool has_operator = false;
  bool only_dashes = true;
  for (const char c : best) {
    const bool digit = (c >= '0' && c <= '9') || c == '.';
    if (digit && !in_number) ++numbers;
    in_number = digit;
    if (c == '(') ++open;
    if (c == ')' && --open < 0) return std::nullopt;
    if (numbers > 0 && std::string_view("+-*/^").find(c) != std::string_view::npos) {
      has_operator = true;
      if (c != '-') only_dashes = false;
    }
  }
  // "2024-01-02" and "555-1234" are no sums unless somebody asks for one.
  if (numbers < 2 || !has_operator || open != 0 || (only_dashes && !plainly_asked)) {
    return std::nullopt;
  }
  return std::string(best);
}

/// What follows the first of `words` that `text` begins with.
std::optional<std::string> after_any(std::string_view text,
                                     std::initializer_list<std::string_view> words) {
  for (const std::string_view word : words) {
    if (!text.starts_with(word)) continue;
    std::string_view rest = text.substr(word.size());
    while (rest.starts_with(' ')) rest.remove_prefix(1);
    if (!rest.empty()) return std::string(rest);
  }
  return std::nullopt;
}

const ToolDeclaration* find_tool(const ModelRequest& request,
                                 std::initializer_list<std::string_view> names) {
  if (request.tools == nullptr) return nullptr;
  for (const ToolDeclaration& tool : *request.tools) {
    if (contains_any(tool.name, names)) return &tool;
  }
  return nullptr;
}

/// The arguments `{"<parameter>": value}`, where the parameter is the first that the tool requires,
/// or the first it has.
std::string one_argument(const ToolDeclaration& tool, std::string_view fallback,
                         std::string_view value) {
  std::string name(fallback);
  if (const auto schema = json::parse(tool.parameters_schema); schema && schema->IsObject()) {
    const auto properties = schema->FindMember("properties");
    if (properties != schema->MemberEnd() && properties->value.IsObject() &&
        properties->value.MemberCount() > 0) {
      name = json::view(properties->value.MemberBegin()->name);
    }
    const auto required = schema->FindMember("required");
    if (required != schema->MemberEnd() && required->value.IsArray() && !required->value.Empty() &&
        required->value[0].IsString()) {
      name = json::view(required->value[0]);
    }
  }
  std::string out = "{";
  json::append_string(out, name);
  out += ':';
  json::append_string(out, value);
  out += '}';
  return out;
}

/// The tool that `question` plainly asks for.
std::optional<ToolCall> wanted_tool(const ModelRequest& request, std::string_view question) {
  const std::string text = normalized(question);
  const std::string_view trimmed =
      std::string_view(text).substr(std::min(text.find_first_not_of(' '), text.size()));
  if (const auto* tool = find_tool(request, {"time", "clock"})) {
    if (contains_any(text, {"what time", "current time", "time is it", "time now", "what date",
                            "today's date", "current date", "what day is", "كم الساعة", "كم الوقت",
                            "ما الوقت", "الوقت الآن", "ما تاريخ", "تاريخ اليوم"})) {
      return ToolCall{{}, tool->name, "{}"};
    }
  }
  if (const auto* tool = find_tool(request, {"calc", "math"})) {
    const bool asked = contains_any(text, {"calculate", "compute", "how much is", "what is",
                                           "what's", "احسب", "كم يساوي", "ما ناتج", "ما حاصل"});
    if (auto expression = find_expression(trimmed, asked)) {
      return ToolCall{{}, tool->name, one_argument(*tool, "expression", *expression)};
    }
  }
  if (const auto* tool = find_tool(request, {"search", "history"})) {
    const auto words =
        after_any(trimmed, {"search for ", "search the history for ", "search history for ",
                            "search ", "ابحث عن ", "ابحث في المحادثة عن ", "ابحث "});
    if (words) return ToolCall{{}, tool->name, one_argument(*tool, "query", *words)};
  }
  return std::nullopt;
}

/// "The tool x answered: ..." for each tool message at the end of the conversation.
std::string tool_outputs(const std::vector<ChatMessage>& messages, const Phrases& phrases) {
  std::size_t first = messages.size();
  while (first > 0 && messages[first - 1].role == Role::tool) --first;
  std::string out;
  for (std::size_t i = first; i < messages.size(); ++i) {
    std::string_view name = "?";
    for (std::size_t j = first; j > 0 && name == "?"; --j) {
      for (const ToolCall& call : messages[j - 1].tool_calls) {
        if (call.id == messages[i].tool_call_id) name = call.name;
      }
    }
    if (!out.empty()) out += '\n';
    out += fmt::format(fmt::runtime(phrases.tool_said), name,
                       cut_utf8(messages[i].text, kOutputBytesMax));
  }
  return out;
}

std::string from_conversation(const std::vector<ChatMessage>& messages, std::size_t question,
                              const Phrases& phrases) {
  std::vector<const ChatMessage*> earlier;
  std::size_t bytes = 0;
  for (std::size_t i = question; i > 0; --i) {
    if (earlier.size() == kMessagesMax || bytes > kConversationBytesMax) break;
    const ChatMessage& message = messages[i - 1];
    // Plans are about tools, not about the subject.
    const bool spoken = message.role == Role::user || message.role == Role::assistant;
    if (!spoken || !message.tool_calls.empty() || is_own_answer(message)) continue;
    earlier.push_back(&message);
    bytes += std::min(message.text.size(), kMessageBytesMax);
  }
  std::reverse(earlier.begin(), earlier.end());
  const auto best = related(earlier, messages[question].text);
  if (best.empty()) return std::string(phrases.nothing_found);
  std::string out(phrases.found);
  for (const ChatMessage* message : best) {
    out +=
        fmt::format("\n- {}: \"{}\"", message->role == Role::user ? phrases.you : phrases.assistant,
                    quote(message->text));
  }
  return out;
}

std::string from_passages(const std::vector<ModelPassage>& passages, std::string_view question,
                          const Phrases& phrases) {
  const std::vector<PassageQuote> quotes = quote_passages(passages, question);
  if (quotes.empty()) return std::string(phrases.passages_silent);
  std::string out(phrases.passages_found);
  for (const PassageQuote& one : quotes) {
    out += fmt::format("\n- {}: \"{}\"", quote(one.passage->document),
                       quote(one.sentence, kSentenceBytesMax));
  }
  return out;
}

/// The next delta of `text` from `at`: one word with the blanks before it.
std::string_view next_delta(std::string_view text, std::size_t at) {
  const std::size_t word = text.find_first_not_of(" \n", at);
  if (word == std::string_view::npos) return text.substr(at);
  const std::size_t end = std::min(text.find_first_of(" \n", word), text.size());
  return text.substr(at, end - at);
}

}  // namespace

ModelAnswer offline_answer(const ModelRequest& request) {
  const std::vector<ChatMessage>& messages = request.messages;
  std::size_t question = messages.size();
  std::size_t calls_before = 0;
  ModelAnswer answer;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    if (messages[i].role == Role::user) question = i;
    calls_before += messages[i].tool_calls.size();
    answer.usage.tokens_in += estimate_words(messages[i].text);
  }
  for (const ModelPassage& passage : request.passages) {
    answer.usage.tokens_in += estimate_words(passage.text);
  }
  const bool asked = question < messages.size();
  const std::string_view text = asked ? std::string_view(messages[question].text) : "";
  const Phrases& phrases = mostly_arabic(text) ? kArabic : kEnglish;
  const bool tools_answered = !messages.empty() && messages.back().role == Role::tool;

  answer.finish_reason = "stop";
  if (tools_answered) {
    answer.text =
        fmt::format("{}\n{}\n{}", tool_outputs(messages, phrases), phrases.offline, phrases.how_to);
  } else if (!request.passages.empty()) {
    answer.text = fmt::format("{}\n{}\n{}", phrases.offline,
                              from_passages(request.passages, text, phrases), phrases.how_to);
  } else if (auto call = wanted_tool(request, text)) {
    call->id = fmt::format("offline_{}", calls_before + 1);
    answer.text = fmt::format(fmt::runtime(phrases.calling), call->name);
    answer.tool_calls.push_back(std::move(*call));
    answer.finish_reason = "tool_calls";
  } else {
    answer.text = fmt::format(
        "{}\n{}\n{}", phrases.offline,
        asked ? from_conversation(messages, question, phrases) : std::string(phrases.nothing_found),
        phrases.how_to);
  }
  answer.usage.tokens_out = count_words(answer.text);
  return answer;
}

/// One answer on its way out. `answer` is made in the first turn after `start`.
struct OfflineProvider::Call {
  std::shared_ptr<const ModelRequest> request;
  ModelSink* sink = nullptr;
  http::TimerId timer = 0;
  std::size_t sent = 0;
  ModelAnswer answer;
};

OfflineProvider::OfflineProvider(http::TransferLoop& loop, const ProviderOptions& options)
    : loop_(loop), token_delay_(options.offline_token_delay) {}

OfflineProvider::~OfflineProvider() {
  for (const auto& [id, call] : calls_) loop_.cancel_timer(call->timer);
}

void OfflineProvider::start(CallId call, std::shared_ptr<const ModelRequest> request,
                            ModelSink& sink) {
  auto started = std::make_unique<Call>();
  started->request = std::move(request);
  started->sink = &sink;
  Call& state = *started;
  calls_.emplace(call, std::move(started));
  go_on_later(call, state);
}

ModelUsage OfflineProvider::cancel(CallId call) {
  const auto found = calls_.find(call);
  if (found == calls_.end()) return {};
  loop_.cancel_timer(found->second->timer);
  calls_.erase(found);
  return {};
}

void OfflineProvider::go_on_later(CallId call, Call& state) {
  state.timer = loop_.schedule(token_delay_, [this, call] { go_on(call); });
}

void OfflineProvider::go_on(CallId call) {
  auto found = calls_.find(call);
  if (found->second->request != nullptr) {
    found->second->answer = offline_answer(*found->second->request);
    found->second->request = nullptr;
  }
  const int deltas_max = token_delay_.count() > 0 ? 1 : kDeltasPerTurn;
  for (int i = 0; i < deltas_max; ++i) {
    Call& state = *found->second;
    const std::string_view delta = next_delta(state.answer.text, state.sent);
    if (delta.empty()) {
      const std::unique_ptr<Call> done = std::move(found->second);
      calls_.erase(found);
      done->sink->on_finished(call, std::move(done->answer));
      return;
    }
    state.sent += delta.size();
    state.sink->on_text(call, delta);
    // The sink may have cancelled this call, or begun others, which moves the map.
    found = calls_.find(call);
    if (found == calls_.end()) return;
  }
  go_on_later(call, *found->second);
}

}  // namespace parlance::llm
