#include "llm/passage_quotes.h"

#include <algorithm>
#include <array>
#include <bitset>
#include <cmath>
#include <cstdint>
#include <string>

#include "base/stop_words.h"
#include "llm/text_folding.h"

namespace parlance::llm {
namespace {

constexpr std::size_t kQuestionBytesMax = 1'024;
constexpr std::size_t kQuestionWordsMax = 24;
constexpr std::size_t kQuotesMax = 3;
constexpr double kCoverageMin = 1.0 / 3;

/// Of what a sentence's passage says around it, beside the sentence itself: the subject is often
/// named only once, at the start.
constexpr double kPassageWeight = 0.3;

/// Which words of the question are in a text.
using Found = std::bitset<kQuestionWordsMax>;

/// The letters of one word that it is compared by, and how many it has.
struct Word {
  static constexpr std::size_t kLettersMax = 16;
  std::array<char32_t, kLettersMax> letters{};
  std::size_t size = 0;

  void add(char32_t letter) {
    if (size < kLettersMax) letters[size] = letter;
    ++size;
  }
};

/// A number for what `word` begins with, so that its inflections have the same.
std::uint64_t key_of(const Word& word) {
  constexpr std::size_t kLatinLetters = 5;
  constexpr std::size_t kArabicLetters = 4;
  std::size_t begin = 0;
  std::size_t end = std::min(word.size, Word::kLettersMax);
  const auto at = [&](std::size_t i) { return i < end ? word.letters[i] : U'\0'; };
  if (is_arabic(at(0))) {
    const bool before_article = at(0) == U'و' || at(0) == U'ف' || at(0) == U'ب' || at(0) == U'ك';
    if (at(0) == U'ا' && at(1) == U'ل') begin = 2;
    if (at(0) == U'ل' && at(1) == U'ل') begin = 2;
    if (before_article && at(1) == U'ا' && at(2) == U'ل') begin = 3;
    if (end - begin < 3) begin = 0;
    end = std::min(end, begin + kArabicLetters);
  } else if (at(0) > U'9') {
    if (end > 3 && at(end - 1) == U's' && at(end - 2) != U's') --end;
    end = std::min(end, kLatinLetters);
  }
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (std::size_t i = begin; i < end; ++i) hash = (hash ^ word.letters[i]) * 0x100000001b3ULL;
  return hash;
}

/// Calls `on_word(word, its bytes)` for each word of `text`.
template <class OnWord>
void for_each_word(std::string_view text, OnWord&& on_word) {
  Word word;
  std::size_t begin = 0;
  const auto end_word = [&](std::size_t end) {
    if (word.size > 0) on_word(word, text.substr(begin, end - begin));
    word.size = 0;
  };
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t before = at;
    if (const auto byte = static_cast<unsigned char>(text[at]);
        byte < 0x80 && kFoldedAscii[byte] != 0) {
      if (word.size == 0) begin = before;
      word.add(kFoldedAscii[byte]);
      ++at;
      continue;
    }
    const char32_t point = next_code_point(text, at);
    const bool apostrophe = point == U'\'' || point == U'’';
    const bool separates = point < 0x80 || is_separator(point);
    if (apostrophe && word.size > 0) continue;
    if (separates) {
      end_word(before);
    } else if (!is_arabic_mark(point)) {
      if (word.size == 0) begin = before;
      word.add(folded(point));
    }
  }
  end_word(text.size());
}

/// `word` as stop words are spelled.
std::string spelling(std::string_view word) {
  std::string out;
  for (std::size_t at = 0; at < word.size();) {
    const std::size_t begin = at;
    const char32_t point = next_code_point(word, at);
    if (point == U'’') {
      out += '\'';
    } else if (point < 0x80 && kFoldedAscii[point] != 0) {
      out += static_cast<char>(kFoldedAscii[point]);
    } else if (folded(point) == U'ا') {
      out += "ا";
    } else if (!is_arabic_mark(point)) {
      out += word.substr(begin, at - begin);
    }
  }
  return out;
}

std::vector<std::uint64_t> question_keys(std::string_view question) {
  std::vector<std::uint64_t> keys;
  for_each_word(cut_utf8(question, kQuestionBytesMax),
                [&](const Word& word, std::string_view bytes) {
                  if (keys.size() == kQuestionWordsMax || is_stop_word(spelling(bytes))) return;
                  const std::uint64_t key = key_of(word);
                  if (std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(key);
                });
  return keys;
}

struct Sentence {
  std::size_t passage = 0;
  std::string_view text;
  Found found;
  double score = 0;
};

/// Where the sentence that begins at `begin` ends: after its mark, or at the end of the line.
std::size_t sentence_end(std::string_view text, std::size_t begin) {
  for (std::size_t at = begin; at < text.size();) {
    const std::size_t before = at;
    if (kFoldedAscii[text[at] & 0x7f] != 0 && (text[at] & 0x80) == 0) {
      ++at;
      continue;
    }
    const char32_t point = next_code_point(text, at);
    if (point == '\n') return before;
    const bool mark = point == '.' || point == '!' || point == '?' || point == U'؟' ||
                      point == U'؛' || point == U'۔';
    const bool ends = at >= text.size() || text[at] == ' ' || text[at] == '\n' || text[at] == '\r';
    if (mark && ends) return at;
  }
  return text.size();
}

class QuoteFinder {
 public:
  QuoteFinder(const std::vector<ModelPassage>& passages, std::string_view question)
      : passages_(passages), keys_(question_keys(question)) {
    for (const std::uint64_t key : keys_) key_bits_ |= std::uint64_t{1} << (key & 63);
  }

  std::vector<PassageQuote> find() {
    if (keys_.empty()) return {};
    read_passages();
    score_sentences();
    std::stable_sort(sentences_.begin(), sentences_.end(),
                     [](const Sentence& a, const Sentence& b) { return a.score > b.score; });
    std::vector<PassageQuote> quotes;
    for (const Sentence& sentence : sentences_) {
      // What has little of the question falls far behind the first.
      const bool weak = sentence.score <= sentences_.front().score / 2;
      if (quotes.size() == kQuotesMax || weak) break;
      // Passages overlap.
      const bool again = std::any_of(quotes.begin(), quotes.end(), [&](const PassageQuote& quote) {
        return quote.sentence == sentence.text;
      });
      if (!again) quotes.push_back({&passages_[sentence.passage], sentence.text});
    }
    return quotes;
  }

 private:
  Found words_in(std::string_view text) const {
    Found found;
    for_each_word(text, [&](const Word& word, std::string_view) {
      const std::uint64_t wanted = key_of(word);
      if ((key_bits_ >> (wanted & 63) & 1) == 0) return;
      const auto key = std::find(keys_.begin(), keys_.end(), wanted);
      if (key != keys_.end()) found.set(static_cast<std::size_t>(key - keys_.begin()));
    });
    return found;
  }

  void read_passages() {
    std::size_t bytes_left = kPassagesReadMax;
    coverage_.assign(passages_.size(), 0);
    for (std::size_t i = 0; i < passages_.size() && bytes_left > 0; ++i) {
      const std::string_view text = cut_utf8(passages_[i].text, bytes_left);
      bytes_left -= text.size();
      Found all = words_in(cut_utf8(passages_[i].document, kQuestionBytesMax));
      for (std::size_t begin = 0; begin < text.size();) {
        const std::size_t end = sentence_end(text, begin);
        const Found found = words_in(text.substr(begin, end - begin));
        all |= found;
        ++sentences_read_;
        if (found.any())
          sentences_.push_back({i, trimmed(text.substr(begin, end - begin)), found, 0});
        begin = end;
        while (begin < text.size() && kBlanks.find(text[begin]) != std::string_view::npos) ++begin;
      }
      coverage_[i] = static_cast<double>(all.count()) / static_cast<double>(keys_.size());
    }
  }

  void score_sentences() {
    std::array<double, kQuestionWordsMax> rarity{};
    for (std::size_t word = 0; word < keys_.size(); ++word) {
      const auto having = std::count_if(sentences_.begin(), sentences_.end(),
                                        [&](const Sentence& s) { return s.found.test(word); });
      rarity[word] =
          std::log(1 + static_cast<double>(sentences_read_ + 1) / static_cast<double>(having + 1));
    }
    for (Sentence& sentence : sentences_) {
      if (coverage_[sentence.passage] < kCoverageMin) continue;
      for (std::size_t word = 0; word < keys_.size(); ++word) {
        if (sentence.found.test(word)) sentence.score += rarity[word];
      }
      sentence.score *= 1 + kPassageWeight * coverage_[sentence.passage];
    }
    std::erase_if(sentences_, [](const Sentence& sentence) { return sentence.score == 0; });
  }

  static constexpr std::string_view kBlanks = " \t\r\n";

  static std::string_view trimmed(std::string_view text) {
    const std::size_t begin = std::min(text.find_first_not_of(kBlanks), text.size());
    const std::size_t end = text.find_last_not_of(kBlanks) + 1;
    return text.substr(begin, std::max(begin, end) - begin);
  }

  const std::vector<ModelPassage>& passages_;
  const std::vector<std::uint64_t> keys_;
  std::uint64_t key_bits_ = 0;       // By the last six bits of each; most words are none of them.
  std::vector<Sentence> sentences_;  // That have any word of the question.
  std::vector<double> coverage_;     // By passage: the share of the question's words in it.
  std::size_t sentences_read_ = 0;
};

}  // namespace

std::vector<PassageQuote> quote_passages(const std::vector<ModelPassage>& passages,
                                         std::string_view question) {
  return QuoteFinder(passages, question).find();
}

}  // namespace parlance::llm
