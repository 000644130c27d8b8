#include "llm/openai_http.h"

#include <catch2/catch.hpp>

namespace parlance::llm {

TEST_CASE("an endpoint's address is made of the base URL however that is written") {
  CHECK(endpoint_url("http://a/v1", "/embeddings") == "http://a/v1/embeddings");
  CHECK(endpoint_url("http://a/v1//", "/embeddings") == "http://a/v1/embeddings");
  CHECK(endpoint_url("http://a/v1/chat/completions", "/embeddings") == "http://a/v1/embeddings");
  CHECK(endpoint_url("http://a/v1/chat/completions/", "/chat/completions") ==
        "http://a/v1/chat/completions");
}

TEST_CASE("a key is sent without the white space around it") {
  CHECK(trimmed_key(" sk-1\r\n") == "sk-1");
  CHECK(trimmed_key(" \n").empty());
}

TEST_CASE("a refusal says what the status means, what the upstream says, and no key") {
  const ModelFailure failure = refusal_of("main", 429, "slow down, sk-1", "sk-1");
  CHECK(failure.code == Errc::resource_exhausted);
  CHECK(failure.retryable);
  CHECK(failure.detail == "provider main answered HTTP 429 (too many requests): slow down, ***");
  CHECK_FALSE(refusal_of("main", 401, "", "").retryable);
}

}  // namespace parlance::llm
