#include "rag/term_index.h"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

namespace parlance::rag {
namespace {

TermIndex index_of(const std::vector<std::string>& texts) {
  TermIndex index;
  for (const std::string& text : texts) index.add(terms_in(text));
  return index;
}

std::vector<std::uint32_t> ranked(const TermIndex& index, const std::string& question) {
  std::vector<std::uint32_t> out;
  for (const auto& scored : index.rank(index.look_up(terms_in(question)), 10)) {
    out.push_back(scored.passage);
  }
  return out;
}

using Passages = std::vector<std::uint32_t>;

}  // namespace

TEST_CASE("passages are ranked by the rarer of the question's terms") {
  const TermIndex index =
      index_of({"battery manual", "battery rocket", "battery garden", "battery kitchen", "garden"});
  CHECK(ranked(index, "rocket battery").front() == 1);
}

TEST_CASE("passages without any term of the question are not ranked") {
  const TermIndex index = index_of({"cats", "rockets", ""});
  CHECK(ranked(index, "rocket") == Passages{1});
  CHECK(ranked(index, "penguin").empty());
  CHECK(ranked(index, "").empty());
}

TEST_CASE("a shorter passage with the same term goes first, and the earlier of equals") {
  const TermIndex index = index_of({"rocket with many other different words", "rocket", "rocket"});
  CHECK(ranked(index, "rocket") == Passages{1, 2, 0});
}

TEST_CASE("coverage is the share of the question's terms that a passage has") {
  const TermIndex index = index_of({"rocket launch", "rocket", "garden"});
  const auto query = index.look_up(terms_in("rocket launch"));
  CHECK(index.coverage(query, 0) == Approx(1));
  CHECK(index.coverage(query, 1) < 0.55F);
  CHECK(index.coverage(query, 1) > 0.3F);
  CHECK(index.coverage(query, 2) == 0);
  CHECK(index.coverage(index.look_up({}), 0) == 0);
}

TEST_CASE("of a very long question the telling terms count") {
  std::string question;
  std::vector<std::string> texts;
  for (int i = 0; i < 200; ++i) {
    question += "common" + std::to_string(i) + " ";
  }
  texts.assign(20, question);
  texts.push_back("needle");
  const TermIndex index = index_of(texts);
  CHECK(ranked(index, question + " needle").front() == 20);
}

TEST_CASE("a term that is there more often than can be counted is still found") {
  TermIndex index;
  index.add(std::vector<Term>{{"rocket", 100'000}});
  CHECK(ranked(index, "rocket") == Passages{0});
}

}  // namespace parlance::rag
