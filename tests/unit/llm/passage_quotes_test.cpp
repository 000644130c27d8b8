#include "llm/passage_quotes.h"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

namespace parlance::llm {
namespace {

std::vector<std::string> quotes(const std::vector<ModelPassage>& passages,
                                const std::string& question) {
  std::vector<std::string> out;
  for (const PassageQuote& quote : quote_passages(passages, question)) {
    out.emplace_back(quote.sentence);
  }
  return out;
}

ModelPassage passage(std::string text, std::string document = "manual.pdf") {
  return {"id", std::move(document), std::move(text)};
}

using Sentences = std::vector<std::string>;

}  // namespace

TEST_CASE("the sentence that has most of the question is quoted first") {
  CHECK(quotes({passage("The drone is red. The battery of the drone charges in 90 minutes. "
                        "Keep it dry.")},
               "How many minutes does charging the battery take?")
            .front() == "The battery of the drone charges in 90 minutes.");
}

TEST_CASE("inflections are the same word") {
  struct Case {
    const char* question;
    const char* sentence;
  };
  const Case one = GENERATE(
      Case{"warranties?", "The warranty ends."}, Case{"Charging batteries?", "Charge a battery."},
      Case{"ما الإيرادات؟", "بلغ الايراد مليونا."}, Case{"أين البطاريات؟", "وضعت بطارية هنا."},
      Case{"كم الضّمان؟", "للضمان شروط."});
  CHECK(quotes({passage(one.sentence)}, one.question) == Sentences{one.sentence});
}

TEST_CASE("a question without content or without its words in any passage quotes nothing") {
  const char* question =
      GENERATE("", "?!", "How are you?", "What is the capital of France?", "ما هي عاصمة فرنسا؟",
               "don't you know what it's about?", "don’t you?");
  CHECK(
      quotes({passage("The warranty lasts 24 months. How it is done is described here.")}, question)
          .empty());
}

TEST_CASE("the document's name counts for what its sentences leave out") {
  CHECK(quotes({passage("It lasts 24 months.", "aurora warranty.pdf")},
               "How many months is the Aurora warranty?") == Sentences{"It lasts 24 months."});
}

TEST_CASE("a sentence that two passages share is quoted once") {
  CHECK(quotes({passage("One thing. The warranty lasts 24 months."),
                passage("The warranty lasts 24 months. Another thing.")},
               "how long is the warranty") == Sentences{"The warranty lasts 24 months."});
}

TEST_CASE("at most three sentences are quoted") {
  CHECK(quotes({passage("Rocket one. Rocket two. Rocket three. Rocket four.")}, "rocket").size() ==
        3);
}

TEST_CASE("lines end sentences, and points inside numbers do not") {
  CHECK(quotes({passage("Contents\nRockets cost 3.5 million\r\nEnd")}, "rocket cost?") ==
        Sentences{"Rockets cost 3.5 million"});
}

TEST_CASE("no more than the limit is read") {
  const std::string filler(kPassagesReadMax, 'x');
  CHECK(quotes({passage(filler), passage("The rocket launches.")}, "rocket").empty());
}

TEST_CASE("passages that are no UTF-8 do no harm") {
  CHECK(quotes({passage("rocket \xff\xf0\x9f"), passage("\xd9"), passage("")}, "rocket").size() ==
        1);
}

}  // namespace parlance::llm
