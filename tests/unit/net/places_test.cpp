#include "net/places.h"

#include <memory>

#include <catch2/catch.hpp>

using parlance::net::Places;

TEST_CASE("there are so many places and no more") {
  Places places(2);
  const Places::Place first = places.take();
  const Places::Place second = places.take();
  CHECK(first != nullptr);
  CHECK(second != nullptr);
  CHECK(places.take() == nullptr);
}

TEST_CASE("a place is free again with the last copy of it") {
  Places places(1);
  Places::Place place = places.take();
  Places::Place copy = place;
  place.reset();
  CHECK(places.take() == nullptr);
  copy.reset();
  CHECK(places.take() != nullptr);
}

TEST_CASE("asking in vain takes nothing") {
  Places places(1);
  Places::Place place = places.take();
  for (int i = 0; i < 3; ++i) CHECK(places.take() == nullptr);
  place.reset();
  CHECK(places.take() != nullptr);
}

TEST_CASE("a place may outlive those it is one of") {
  auto places = std::make_unique<Places>(1);
  Places::Place place = places->take();
  places.reset();
  CHECK(place != nullptr);
  place.reset();
}
