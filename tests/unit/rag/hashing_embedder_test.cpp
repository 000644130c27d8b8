#include "rag/hashing_embedder.h"

#include <cmath>
#include <string>

#include <catch2/catch.hpp>

namespace parlance::rag {
namespace {

double cosine(const std::string& a, const std::string& b) {
  const auto first = embed_by_hashing(a);
  const auto second = embed_by_hashing(b);
  double sum = 0;
  for (std::size_t i = 0; i < first.size(); ++i) sum += static_cast<double>(first[i]) * second[i];
  return sum;
}

}  // namespace

TEST_CASE("a hashed vector has length one") {
  const auto vector = embed_by_hashing("The rocket launch is on Tuesday.");
  REQUIRE(vector.size() == kHashedDimensions);
  double squares = 0;
  for (const float x : vector) squares += static_cast<double>(x) * x;
  CHECK(squares == Approx(1));
}

TEST_CASE("a text without content is the zero vector") {
  const char* text = GENERATE("", "  ", "the of and", "?!", "ما هو");
  for (const float x : embed_by_hashing(text)) REQUIRE(x == 0);
}

TEST_CASE("related texts are nearer than unrelated ones") {
  CHECK(cosine("the rocket launch", "rockets launched yesterday") >
        cosine("the rocket launch", "my cat is called Miso") + 0.3);
  CHECK(cosine("مدة الضمان", "الضمان مدته سنتان") > cosine("مدة الضمان", "قطتي اسمها ميسو") + 0.2);
}

TEST_CASE("a misspelt word is nearer than another word") {
  CHECK(cosine("warrantty", "warranty") > cosine("penguin", "warranty") + 0.02);
}

TEST_CASE("spelling that means nothing changes nothing") {
  CHECK(embed_by_hashing("إطلاقُ الصّاروخ") == embed_by_hashing("اطلاق الصاروخ"));
  CHECK(embed_by_hashing("ROCKET") == embed_by_hashing("rocket"));
}

TEST_CASE("hashed vectors are the same in every build") {
  // Vectors are kept in the store: if this fails, all of them need to be made again.
  const auto vector = embed_by_hashing("rocket");
  std::size_t largest = 0;
  for (std::size_t i = 0; i < vector.size(); ++i) {
    if (std::abs(vector[i]) > std::abs(vector[largest])) largest = i;
  }
  CHECK(largest == 197);
  CHECK(vector[largest] == Approx(0.97014F).epsilon(0.0001));
}

}  // namespace parlance::rag
