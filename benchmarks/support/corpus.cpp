#include "benchmarks/support/corpus.h"

#include <array>
#include <cmath>
#include <string_view>

namespace parlance::benchmarks {
namespace {

constexpr std::size_t kVocabulary = 30'000;
constexpr std::size_t kSubjects = 1'000;
constexpr std::size_t kWordsPerSubject = 60;
constexpr std::size_t kWordsPerSentence = 15;

/// The most frequent words of a language are those without a subject, here as there.
constexpr std::array<std::string_view, 60> kFunctionWords{
    "the",   "of",   "and",  "to",    "in",   "a",     "is",    "that",  "for", "it",
    "as",    "was",  "with", "be",    "by",   "on",    "not",   "he",    "i",   "this",
    "are",   "or",   "his",  "from",  "at",   "which", "but",   "have",  "an",  "had",
    "they",  "you",  "were", "their", "one",  "all",   "we",    "can",   "her", "has",
    "there", "been", "if",   "more",  "when", "will",  "would", "who",   "so",  "no",
    "out",   "up",   "into", "them",  "then", "she",   "some",  "could", "its", "other"};

std::string invent_word(std::mt19937& random) {
  constexpr std::string_view kConsonants = "bcdfglmnprstvz";
  constexpr std::string_view kVowels = "aeiou";
  std::string word;
  const std::size_t syllables = 1 + random() % 3;
  for (std::size_t i = 0; i < syllables; ++i) {
    word += kConsonants[random() % kConsonants.size()];
    word += kVowels[random() % kVowels.size()];
    if (random() % 2 == 0) word += kConsonants[random() % kConsonants.size()];
  }
  return word + kConsonants[random() % kConsonants.size()];
}

}  // namespace

Corpus::Corpus(std::uint32_t seed) : random_(seed) {
  vocabulary_.assign(kFunctionWords.begin(), kFunctionWords.end());
  while (vocabulary_.size() < kVocabulary) vocabulary_.push_back(invent_word(random_));
  subjects_.resize(kSubjects);
  for (auto& subject : subjects_) {
    // What a subject is told by is not among the most frequent words.
    constexpr std::size_t kFrequent = 1'000;
    for (std::size_t i = 0; i < kWordsPerSubject; ++i) {
      subject.push_back(kFrequent + random_() % (kVocabulary - kFrequent));
    }
  }
}

const std::string& Corpus::common_word() {
  const double uniform =
      (static_cast<double>(random_()) + 1) / (static_cast<double>(random_.max()) + 2);
  const double rank = std::pow(static_cast<double>(kVocabulary), uniform) - 1;
  return vocabulary_[static_cast<std::size_t>(rank)];
}

const std::string& Corpus::word_of(std::size_t subject) {
  const auto& words = subjects_[subject];
  return vocabulary_[words[random_() % words.size()]];
}

std::string Corpus::passage(std::size_t words) {
  const std::size_t subject = random_() % kSubjects;
  std::string text;
  for (std::size_t i = 0; i < words; ++i) {
    text += random_() % 6 == 0 ? word_of(subject) : common_word();
    text += (i + 1) % kWordsPerSentence == 0 ? ". " : " ";
  }
  return text;
}

std::string Corpus::question() {
  const std::size_t subject = random_() % kSubjects;
  std::string text = "what about";
  for (int i = 0; i < 4; ++i) text += " " + word_of(subject);
  for (int i = 0; i < 2; ++i) text += " " + common_word();
  return text + "?";
}

}  // namespace parlance::benchmarks
