// Invented text that is distributed as text is: word frequencies by Zipf's law, and passages that
// each have a subject, so that a question has passages that fit it and many that nearly do. The
// same seed gives the same text.
#pragma once

#include <cstddef>
#include <random>
#include <string>
#include <vector>

namespace parlance::benchmarks {

class Corpus {
 public:
  explicit Corpus(std::uint32_t seed);

  /// A passage of `words` words in sentences, about one of the subjects.
  std::string passage(std::size_t words);

  /// A question of six words, four of them of one subject.
  std::string question();

 private:
  const std::string& common_word();
  const std::string& word_of(std::size_t subject);

  std::mt19937 random_;
  std::vector<std::string> vocabulary_;
  std::vector<std::vector<std::size_t>> subjects_;  // Of each, its words.
};

}  // namespace parlance::benchmarks
