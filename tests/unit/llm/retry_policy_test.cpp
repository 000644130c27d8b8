#include "llm/retry_policy.h"

#include <catch2/catch.hpp>

namespace parlance::llm {

using namespace std::chrono_literals;

TEST_CASE("the backoff doubles up to its limit and is shortened by up to half") {
  ProviderOptions options;
  options.tries_max = 10;
  options.backoff_first = 250ms;
  options.backoff_max = 1'500ms;
  const ModelFailure failure{Errc::unavailable, "", true, {}};
  CHECK(retry_delay(options, failure, 1, 0) == 250ms);
  CHECK(retry_delay(options, failure, 2, 0) == 500ms);
  CHECK(retry_delay(options, failure, 4, 0) == 1'500ms);
  CHECK(retry_delay(options, failure, 9, 0) == 1'500ms);
  CHECK(retry_delay(options, failure, 1, 0.5) == 188ms);
  CHECK(retry_delay(options, failure, 1, 0.999) == 125ms);
  options.tries_max = 1'000;
  CHECK(retry_delay(options, failure, 999, 0) == 1'500ms);
}

TEST_CASE("tries end at their number and at what no try can help") {
  ProviderOptions options;
  options.tries_max = 3;
  CHECK(retry_delay(options, {Errc::unavailable, "", true, {}}, 2, 0));
  CHECK_FALSE(retry_delay(options, {Errc::unavailable, "", true, {}}, 3, 0));
  CHECK_FALSE(retry_delay(options, {Errc::invalid_argument, "", false, {}}, 1, 0));
}

TEST_CASE("a wait that the upstream asked for is kept, or ends the tries when it is too long") {
  ProviderOptions options;
  options.backoff_first = 100ms;
  options.backoff_max = 8s;
  CHECK(retry_delay(options, {Errc::resource_exhausted, "", true, 2s}, 1, 0) == 2s);
  CHECK(retry_delay(options, {Errc::resource_exhausted, "", true, 2s}, 1, 0.5) == 2'050ms);
  CHECK(retry_delay(options, {Errc::resource_exhausted, "", true, 0s}, 1, 0) == 100ms);
  CHECK_FALSE(retry_delay(options, {Errc::resource_exhausted, "", true, 9s}, 1, 0));
}

TEST_CASE("Retry-After is read as seconds or as a date") {
  const WallTime now{1'700'000'000'000};  // Tue, 14 Nov 2023 22:13:20 GMT
  CHECK(parse_retry_after("7", now) == 7s);
  CHECK(parse_retry_after("0", now) == 0s);
  CHECK(parse_retry_after("Tue, 14 Nov 2023 22:13:50 GMT", now) == 30s);
  CHECK(parse_retry_after("Tue, 14 Nov 2023 22:13:00 GMT", now) == 0s);
  CHECK(parse_retry_after("99999999999999999", now) == 10'000'000s);
  CHECK_FALSE(parse_retry_after("", now));
  CHECK_FALSE(parse_retry_after("-1", now));
  CHECK_FALSE(parse_retry_after("soon", now));
}

}  // namespace parlance::llm
