#include "rag/passage_index.h"

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "rag/hashing_embedder.h"
#include "rag/terms.h"

namespace parlance::rag {
namespace {

void add(PassageIndex& index, std::uint64_t key, const std::string& text) {
  const Status added = index.add(key, embed_by_hashing(text), terms_of(text));
  REQUIRE(added.has_value());
}

std::vector<Hit> search(const PassageIndex& index, const std::string& question,
                        std::size_t count = 10) {
  auto hits = index.search(question, embed_by_hashing(question), count);
  REQUIRE(hits.has_value());
  return *std::move(hits);
}

const std::vector<std::string> english{
    "Aurora X2 warranty. The drone is covered for 24 months from the date of purchase. Damage by "
    "water and crashes is not covered. To make a claim, send the receipt to the service centre.",
    "Battery care. Charge the battery at room temperature. A full charge takes 90 minutes and "
    "gives "
    "31 minutes of flight. Store batteries half charged when they are not used for a week.",
    "Remote work policy. Employees may work from home up to three days per week. Managers approve "
    "requests in the staff portal. Expenses for a desk are refunded up to 300 euros.",
    "Quarterly report. Revenue grew by 12 percent to 4.1 million, driven by sales of spare parts. "
    "The board expects a loss in the first quarter because of the new factory in Lisbon.",
    "Recipe for lentil soup. Fry onions in olive oil, add red lentils, cumin and tomatoes, and "
    "cook "
    "for twenty minutes. Serve with lemon and bread."};

const std::vector<std::string> arabic{
    "شروط الضمان. تخضع الطائرة للضمان مدة أربعة وعشرين شهرا من تاريخ الشراء. لا يشمل الضمان أضرار "
    "المياه والسقوط. لتقديم مطالبة أرسل الفاتورة إلى مركز الخدمة.",
    "العناية بالبطارية. اشحن البطارية في درجة حرارة الغرفة. يستغرق الشحن الكامل تسعين دقيقة ويكفي "
    "لإحدى وثلاثين دقيقة من الطيران.",
    "سياسة العمل عن بعد. يحق للموظفين العمل من المنزل ثلاثة أيام في الأسبوع بعد موافقة المدير على "
    "الطلب في بوابة الموظفين.",
    "التقرير المالي. ارتفعت الإيرادات بنسبة اثني عشر بالمئة بفضل مبيعات قطع الغيار. يتوقع المجلس "
    "خسارة في الربع الأول بسبب المصنع الجديد في لشبونة."};

PassageIndex index_of(const std::vector<std::string>& texts) {
  PassageIndex index(kHashedDimensions, {});
  for (std::size_t i = 0; i < texts.size(); ++i) add(index, 100 + i, texts[i]);
  return index;
}

float best_relevance(const std::vector<std::string>& texts, const std::string& question) {
  float best = 0;
  for (const Hit& hit : search(index_of(texts), question)) best = std::max(best, hit.relevance);
  return best;
}

struct Pair {
  const char* question;
  std::uint64_t key;
};

}  // namespace

TEST_CASE("a question finds the passage that answers it") {
  const Pair pair = GENERATE(
      Pair{"How long is the warranty of the drone?", 100}, Pair{"is water damage covered", 100},
      Pair{"How many minutes does charging the battery take?", 101},
      Pair{"Can I work from home?", 102}, Pair{"How did revenue develop?", 103},
      Pair{"Why does the board expect a loss?", 103},
      Pair{"What do I need for the soup with lentils?", 104});
  CAPTURE(pair.question);
  const auto hits = search(index_of(english), pair.question);
  REQUIRE_FALSE(hits.empty());
  CHECK(hits.front().key == pair.key);
  CHECK(hits.front().relevance >= kRelevant);
}

TEST_CASE("an Arabic question finds the passage that answers it") {
  const Pair pair =
      GENERATE(Pair{"كم مدة الضمان؟", 100}, Pair{"هل يشمل الضمان أضرار المياه؟", 100},
               Pair{"كم دقيقة يستغرق شحن البطّارية؟", 101}, Pair{"هل يمكنني العمل من المنزل؟", 102},
               Pair{"ما نسبة ارتفاع الايرادات؟", 103}, Pair{"لماذا يتوقع المجلس خسارة؟", 103});
  CAPTURE(pair.question);
  const auto hits = search(index_of(arabic), pair.question);
  REQUIRE_FALSE(hits.empty());
  CHECK(hits.front().key == pair.key);
  CHECK(hits.front().relevance >= kRelevant);
}

TEST_CASE("what is not about the documents is relevant to no passage") {
  const char* question = GENERATE(
      "hello how are you", "tell me a joke", "What is the capital of France?", "thank you, goodbye",
      "Who won the football world cup?", "Write a poem about the sea", "what can you do for me?",
      "What is the weather like today?", "", "?!", "ما هي عاصمة فرنسا", "مرحبا كيف حالك",
      "احك لي نكتة", "من فاز بكأس العالم؟", "شكرا لك", "اكتب قصيدة عن البحر");
  CAPTURE(question);
  CHECK(best_relevance(english, question) < kRelevant);
  CHECK(best_relevance(arabic, question) < kRelevant);
}

TEST_CASE("one document alone is told apart from small talk too") {
  const std::vector<std::string> one{english[0]};
  CHECK(best_relevance(one, "How long is the drone covered?") >= kRelevant);
  CHECK(best_relevance(one, "hello how are you") < kRelevant);
  CHECK(best_relevance(one, "What is the capital of France?") < kRelevant);
}

TEST_CASE("score, distance and relevance are within their ranges, best score first") {
  const auto hits = search(index_of(english), "battery charge and warranty");
  double last = 1;
  for (const Hit& hit : hits) {
    CHECK(hit.score <= last);
    CHECK(hit.score > 0);
    CHECK(hit.score <= 2.0 / 61);
    CHECK(hit.distance >= 0);
    CHECK(hit.distance <= 2);
    CHECK(hit.relevance >= 0);
    CHECK(hit.relevance <= 1);
    last = hit.score;
  }
}

TEST_CASE("no more passages are found than wanted or there") {
  const PassageIndex index = index_of(english);
  CHECK(search(index, "battery", 0).empty());
  CHECK(search(index, "battery", 2).size() == 2);
  CHECK(search(index, "battery", 1'000'000).size() == english.size());
  CHECK(search(PassageIndex(kHashedDimensions, {}), "battery").empty());
}

TEST_CASE("a vector of other dimensions is refused and changes nothing") {
  PassageIndex index(4, {});
  const Status added = index.add(1, std::vector<float>{1, 0, 0}, terms_of("rocket"));
  REQUIRE(added.has_error());
  CHECK(added.error().code == Errc::invalid_argument);
  CHECK(added.error().detail == "a vector of 3 dimensions where 4 are used");
  CHECK(index.size() == 0);
  const auto hits = index.search("rocket", std::vector<float>(5), 1);
  REQUIRE(hits.has_error());
  CHECK(hits.error().code == Errc::invalid_argument);
}

TEST_CASE("a vector that is not finite is refused") {
  PassageIndex index(2, {});
  const float bad =
      GENERATE(std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity());
  const Status added = index.add(1, std::vector<float>{bad, 0}, terms_of("rocket"));
  REQUIRE(added.has_error());
  CHECK(added.error().code == Errc::invalid_argument);
}

TEST_CASE("terms that do not decode are refused and change nothing") {
  PassageIndex index(2, {});
  const Status added = index.add(1, std::vector<float>{1, 0}, "\xff\xff\xff\xff\xff");
  REQUIRE(added.has_error());
  CHECK(added.error().code == Errc::corrupted);
  CHECK(index.size() == 0);
  CHECK(index.search("", std::vector<float>{1, 0}, 1).value().empty());
}

TEST_CASE("a passage with a zero vector is found by its words alone") {
  PassageIndex index(2, {});
  const std::vector<float> zeros(2);
  REQUIRE(index.add(1, zeros, terms_of("rocket launch")).has_value());
  REQUIRE(index.add(2, std::vector<float>{1, 0}, terms_of("garden")).has_value());
  const auto by_words = index.search("rocket", std::vector<float>{1, 0}, 2).value();
  REQUIRE(by_words.size() == 2);
  CHECK(by_words[0].key + by_words[1].key == 3);
  const auto by_zeros = index.search("rocket", zeros, 2).value();
  REQUIRE(by_zeros.size() == 1);
  CHECK(by_zeros[0].key == 1);
  CHECK(by_zeros[0].distance == 1);
}

TEST_CASE("a passage without words is found by its vector alone") {
  PassageIndex index(2, {});
  REQUIRE(index.add(1, std::vector<float>{0, 3}, terms_of("?!")).has_value());
  const auto hits = index.search("rocket", std::vector<float>{0, 1}, 2).value();
  REQUIRE(hits.size() == 1);
  CHECK(hits[0].distance == Approx(0).margin(1e-6));
}

TEST_CASE("a passage that both rankings find goes before one that either finds") {
  PassageIndex index(2, {});
  REQUIRE(index.add(1, std::vector<float>{1, 0.1F}, terms_of("garden")).has_value());
  REQUIRE(index.add(2, std::vector<float>(2), terms_of("rocket")).has_value());
  REQUIRE(index.add(3, std::vector<float>{1, 0.2F}, terms_of("rocket launch pad")).has_value());
  CHECK(index.search("rocket", std::vector<float>{1, 0}, 1).value().at(0).key == 3);
}

TEST_CASE("a session with more passages than are searched exactly still finds each") {
  Options options;
  options.exact_vector_bytes_max = 20 * kHashedDimensions * sizeof(float);
  PassageIndex index(kHashedDimensions, options);
  for (std::uint64_t i = 0; i < 60; ++i) add(index, i, "rocket number n" + std::to_string(i * 37));
  for (std::uint64_t i = 0; i < 60; ++i) {
    REQUIRE(search(index, "number n" + std::to_string(i * 37), 1).at(0).key == i);
  }
}

TEST_CASE("an index says about how much memory it takes") {
  PassageIndex index = index_of(english);
  const std::size_t few = index.bytes();
  CHECK(few >= english.size() * kHashedDimensions * sizeof(float));
  for (std::uint64_t i = 0; i < 100; ++i) add(index, i, english[i % english.size()]);
  CHECK(index.bytes() > few + 100 * kHashedDimensions * sizeof(float) / 2);
}

}  // namespace parlance::rag
