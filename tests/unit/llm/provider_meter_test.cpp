#include "llm/provider_meter.h"

#include <catch2/catch.hpp>

namespace parlance::llm {
namespace {

using namespace std::chrono_literals;

ProviderView read(const ProviderMeter& meter) {
  ProviderView view;
  meter.read(view);
  return view;
}

}  // namespace

TEST_CASE("a try is in flight until it ends, however it does") {
  ProviderMeter meter;
  for (int i = 0; i < 3; ++i) meter.begun();
  CHECK(read(meter).in_flight == 3);
  meter.answered(1s, {});
  meter.failed({});
  meter.cancelled({});
  CHECK(read(meter).in_flight == 0);
}

TEST_CASE("times and tokens of answers are added up") {
  ProviderMeter meter;
  for (const auto time : {200ms, 400ms}) {
    meter.begun();
    meter.wrote_first(time / 4);
    meter.answered(time, {10, 20});
  }
  const ProviderView view = read(meter);
  CHECK(view.answered == 2);
  CHECK(view.answer_time == 600ms);
  CHECK(view.first_texts == 2);
  CHECK(view.first_text_time == 150ms);
  CHECK(view.tokens_in == 20);
  CHECK(view.tokens_out == 40);
}

TEST_CASE("a failed try is no answer") {
  ProviderMeter meter;
  meter.begun();
  meter.failed({});
  CHECK(read(meter).failed == 1);
  CHECK(read(meter).answered == 0);
}

TEST_CASE("a cancelled try is neither an answer nor a failure") {
  ProviderMeter meter;
  meter.begun();
  meter.cancelled({});
  CHECK(read(meter).cancelled == 1);
  CHECK(read(meter).failed == 0);
  CHECK(read(meter).answered == 0);
}

TEST_CASE("tokens that were told before an end count, whichever it is") {
  ProviderMeter meter;
  for (int i = 0; i < 2; ++i) meter.begun();
  meter.failed({1, 2});
  meter.cancelled({10, 20});
  CHECK(read(meter).tokens_in == 11);
  CHECK(read(meter).tokens_out == 22);
}

}  // namespace parlance::llm
