#include "llm/embeddings_client.h"

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio.hpp>
#include <catch2/catch.hpp>

#include "base/json.h"
#include "http/transfer_loop.h"
#include "tests/unit/http/scripted_upstream.h"

namespace parlance::llm {
namespace {

using namespace std::chrono_literals;
using namespace http::test;

std::vector<std::string> input_of(const std::string& body) {
  std::vector<std::string> out;
  const auto parsed = json::parse(body);
  REQUIRE(parsed.has_value());
  for (const auto& text : (*parsed)["input"].GetArray()) out.emplace_back(text.GetString());
  return out;
}

/// For each text a vector that points where its number says, in an order of the server's own.
std::string vectors_for(const std::string& body) {
  const auto texts = input_of(body);
  std::string out;
  for (std::size_t i = texts.size(); i-- > 0;) {
    out += (out.empty() ? "" : ",") + std::string(R"({"index":)") + std::to_string(i) +
           R"(,"embedding":[2,)" + texts[i] + "]}";
  }
  return R"({"data":[)" + out + "]}";
}

Reply serve(const std::string& body) {
  return Reply{{http_response("200 OK", vectors_for(body))}};
}

std::vector<std::string> numbers(std::size_t count, std::size_t from = 0) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < count; ++i) out.push_back(std::to_string(from + i));
  return out;
}

struct Fixture {
  explicit Fixture(ScriptedUpstream::Script script)
      : upstream(io,
                 [this, script = std::move(script)](int request, const std::string& body) {
                   bodies.push_back(body);
                   return script(request, body);
                 }),
        loop(io) {
    provider.name = "main";
    provider.kind = ProviderOptions::Kind::openai;
    provider.base_url = upstream.base_url();
    provider.api_key = "sk-secret\n";
    provider.backoff_first = 1ms;
    provider.backoff_max = 40ms;
  }
  EmbedId embed(std::vector<std::string> texts) {
    if (!client) client = std::make_unique<EmbeddingsClient>(loop, options, [] { return 0.0; });
    const int call = ++calls;
    return client->embed(provider, "m", std::move(texts), [this, call](Result<Embeddings> result) {
      ends.emplace(call, std::move(result));
      if (when_done) when_done();
    });
  }
  const Result<Embeddings>& end_of(int call = 1) {
    REQUIRE(run_until(io, [&] { return ends.contains(call); }));
    return ends.at(call);
  }
  Error error_of(std::vector<std::string> texts) {
    embed(std::move(texts));
    CHECK(ends.empty());
    const auto& end = end_of();
    REQUIRE(end.has_error());
    CHECK(end.error().detail.find("secret") == std::string::npos);
    return end.error();
  }

  boost::asio::io_context io;
  std::vector<std::string> bodies;  // Of each request.
  ScriptedUpstream upstream;
  http::TransferLoop loop;
  ProviderOptions provider;
  EmbeddingsOptions options;
  std::unique_ptr<EmbeddingsClient> client;
  std::function<void()> when_done;
  std::map<int, Result<Embeddings>> ends;  // By call, from 1.
  int calls = 0;
};

}  // namespace

TEST_CASE("texts become vectors in their order, whatever the order and number of answers") {
  const std::size_t count = GENERATE(1, 32, 33, 200);
  Fixture f([](int, const std::string& body) { return serve(body); });
  f.embed(numbers(count));
  CHECK(f.ends.empty());
  REQUIRE(f.end_of().has_value());
  const Embeddings& vectors = *f.end_of();
  REQUIRE(vectors.size() == count);
  for (std::size_t i = 0; i < count; ++i) {
    REQUIRE(vectors[i].size() == 2);
    REQUIRE(vectors[i][1] / vectors[i][0] == Approx(static_cast<double>(i) / 2));
    REQUIRE(vectors[i][0] * vectors[i][0] + vectors[i][1] * vectors[i][1] == Approx(1));
  }
  CHECK(f.bodies.size() == (count + 31) / 32);
  CHECK(f.upstream.last_head.starts_with("POST /v1/embeddings HTTP/1.1\r\n"));
  CHECK(f.upstream.last_head.find("Authorization: Bearer sk-secret\r\n") != std::string::npos);
}

TEST_CASE("batches are bounded in bytes, and a text over the bound goes alone") {
  Fixture f([](int, const std::string& body) { return serve(body); });
  f.options.batch_bytes_max = 5;
  f.embed({"10", "11", "1", "12", "1234567", "2"});
  REQUIRE(f.end_of().has_value());
  std::vector<std::size_t> sizes;
  for (const std::string& body : f.bodies) sizes.push_back(input_of(body).size());
  std::sort(sizes.begin(), sizes.end());
  CHECK(sizes == std::vector<std::size_t>{1, 1, 1, 3});
}

TEST_CASE("requests at once are bounded, and calls take turns") {
  Fixture f([](int, const std::string&) { return Reply{{}, Reply::Then::stall}; });
  f.options.batch_texts_max = 1;
  f.options.in_flight_max = 2;
  SECTION("bounded") {
    f.embed(numbers(5));
    REQUIRE(run_until(f.io, [&] { return f.bodies.size() == 2; }));
    run_ready(f.io);
    CHECK(f.bodies.size() == 2);
  }
  SECTION("a later call does not wait for all of an earlier one") {
    const EmbedId first = f.embed(numbers(5));
    f.embed(numbers(1, 90));
    f.embed(numbers(1, 91));
    REQUIRE(run_until(f.io, [&] { return f.bodies.size() == 2; }));
    f.client->cancel(first);
    REQUIRE(run_until(f.io, [&] { return f.bodies.size() == 4; }));
    CHECK(input_of(f.bodies[2]) == numbers(1, 90));
    CHECK(input_of(f.bodies[3]) == numbers(1, 91));
  }
}

TEST_CASE("while one call has many batches another one's are sent in between") {
  Fixture f([](int, const std::string& body) { return serve(body); });
  f.options.batch_texts_max = 1;
  f.options.in_flight_max = 1;
  f.embed(numbers(6));
  f.embed(numbers(1, 90));
  REQUIRE(f.end_of(2).has_value());
  CHECK_FALSE(f.ends.contains(1));
  REQUIRE(f.end_of(1).has_value());
}

TEST_CASE("a batch that fails for now is asked for again, alone") {
  const std::string refusal =
      GENERATE(std::string(http_response("500 Oops", "")),
               std::string(http_response("200 OK", "<html>")), std::string("nonsense\r\n\r\n"));
  Fixture f([&](int request, const std::string& body) {
    if (request == 0) return Reply{{refusal}, Reply::Then::close};
    return serve(body);
  });
  f.options.batch_texts_max = 2;
  f.embed(numbers(4));
  CHECK(f.end_of().has_value());
  CHECK(f.bodies.size() == 3);
}

TEST_CASE("embeddings wait for a Retry-After that is not too long") {
  const std::string header = GENERATE("Retry-After: 0\r\n", "Retry-After: 1\r\n");
  Fixture f([&](int request, const std::string& body) {
    if (request == 0) return Reply{{http_response("429 Slow Down", "slow", header)}};
    return serve(body);
  });
  f.embed(numbers(1));
  if (header == "Retry-After: 0\r\n") {
    CHECK(f.end_of().has_value());
  } else {
    REQUIRE(f.end_of().has_error());
    CHECK(f.end_of().error().code == Errc::resource_exhausted);
    CHECK(f.end_of().error().detail == "provider main answered HTTP 429 (too many requests): slow");
  }
}

TEST_CASE("the tries of a batch are bounded, and the last failure ends the call") {
  Fixture f([](int, const std::string&) { return Reply{{http_response("503 Busy", "busy")}}; });
  CHECK(f.error_of(numbers(1)).code == Errc::unavailable);
  CHECK(f.bodies.size() == 3);
}

TEST_CASE("what no try can help ends the call at once, with all its other batches") {
  Fixture f([](int request, const std::string&) {
    if (request == 0) return Reply{{http_response("401 No", R"({"error":"bad key sk-secret"})")}};
    return Reply{{}, Reply::Then::stall};
  });
  f.options.batch_texts_max = 1;
  const Error error = f.error_of(numbers(9));
  CHECK(error.code == Errc::failed_precondition);
  CHECK(run_until(f.io, [&] { return f.upstream.closed_by_client >= f.upstream.connections - 1; }));
  run_ready(f.io);
  CHECK(f.bodies.size() <= 4);
}

TEST_CASE("vectors of different lengths in different answers are refused") {
  Fixture f([](int request, const std::string&) {
    return Reply{
        {http_response("200 OK", request == 0 ? R"({"data":[{"index":0,"embedding":[1]}]})"
                                              : R"({"data":[{"index":0,"embedding":[1,1]}]})")}};
  });
  f.options.batch_texts_max = 1;
  CHECK(f.error_of(numbers(2)).code == Errc::failed_precondition);
}

TEST_CASE("a request that is not answered in time is asked again, and then given up") {
  Fixture f([](int, const std::string&) { return Reply{{}, Reply::Then::stall}; });
  f.provider.first_token_timeout = 10ms;
  const Error error = f.error_of(numbers(1));
  CHECK(error.code == Errc::deadline_exceeded);
  CHECK(f.bodies.size() == 3);
}

TEST_CASE("a call that takes too long in all is given up") {
  Fixture f([](int, const std::string&) { return Reply{{}, Reply::Then::stall}; });
  f.provider.call_timeout = 10ms;
  const Error error = f.error_of(numbers(1));
  CHECK(error.code == Errc::deadline_exceeded);
  CHECK(error.detail == "provider main took longer than 10 ms for the embeddings");
}

TEST_CASE("an answer over its size is refused") {
  Fixture f([](int, const std::string&) {
    return Reply{{http_response("200 OK", std::string(70'000, ' '))}};
  });
  f.options.dimensions_max = 2;
  CHECK(f.error_of(numbers(1)).code == Errc::resource_exhausted);
  CHECK(f.bodies.size() == 1);
}

TEST_CASE("texts that cannot be embedded are refused without a request") {
  Fixture f([](int, const std::string& body) { return serve(body); });
  f.options.text_bytes_max = 4;
  f.options.texts_max = 3;
  f.options.waiting_bytes_max = 8;
  std::vector<std::string> texts{"1"};
  Errc code = Errc::invalid_argument;
  SECTION("an empty one") {
    texts.emplace_back();
  }
  SECTION("one that is too big") {
    texts.emplace_back("secret");
  }
  SECTION("one that is not UTF-8") {
    texts.emplace_back("\xff");
  }
  SECTION("too many") {
    texts = numbers(4);
  }
  SECTION("too many bytes at once") {
    texts = {"1111", "1111", "1"};
    code = Errc::resource_exhausted;
  }
  SECTION("with the offline provider") {
    f.provider.kind = ProviderOptions::Kind::offline;
    code = Errc::failed_precondition;
  }
  CHECK(f.error_of(texts).code == code);
  CHECK(f.bodies.empty());
}

TEST_CASE("calls that ended give their bytes back") {
  Fixture f([](int, const std::string& body) { return serve(body); });
  f.options.waiting_bytes_max = 8;
  for (int call = 1; call <= 3; ++call) {
    f.embed({"1111", "1111"});
    CHECK(f.end_of(call).has_value());
  }
}

TEST_CASE("no texts have no vectors") {
  Fixture f([](int, const std::string& body) { return serve(body); });
  f.embed({});
  CHECK(f.ends.empty());
  REQUIRE(f.end_of().has_value());
  CHECK(f.end_of()->empty());
  CHECK(f.bodies.empty());
}

TEST_CASE("a cancelled call closes its connections, says nothing and makes room") {
  Fixture f([](int, const std::string& body) {
    return input_of(body) == numbers(1, 90) ? serve(body) : Reply{{}, Reply::Then::stall};
  });
  f.options.batch_texts_max = 1;
  f.options.in_flight_max = 2;
  const EmbedId call = f.embed(numbers(4));
  REQUIRE(run_until(f.io, [&] { return f.bodies.size() == 2; }));
  f.client->cancel(call);
  f.client->cancel(call);
  CHECK(run_until(f.io, [&] { return f.upstream.closed_by_client == 2; }));
  f.embed(numbers(1, 90));
  CHECK(f.end_of(2).has_value());
  CHECK_FALSE(f.ends.contains(1));
}

TEST_CASE("a call may be cancelled while it waits to be tried again") {
  Fixture f([](int, const std::string&) { return Reply{{http_response("503 Busy", "")}}; });
  f.provider.backoff_first = 60s;
  f.provider.backoff_max = 60s;
  const EmbedId call = f.embed(numbers(1));
  REQUIRE(run_until(f.io, [&] { return f.bodies.size() == 1; }));
  run_ready(f.io);
  SECTION("alone") {
    f.client->cancel(call);
  }
  SECTION("with the client") {
    f.client.reset();
  }
  run_ready(f.io);
  CHECK(f.ends.empty());
}

TEST_CASE("the end of a call may start another one, or be the end of the client") {
  Fixture f([](int, const std::string& body) { return serve(body); });
  f.when_done = [&] {
    if (f.calls < 3) {
      f.embed(numbers(3));
    } else {
      f.client.reset();
    }
  };
  f.embed(numbers(3));
  CHECK(f.end_of(3).has_value());
  CHECK(f.client == nullptr);
}

}  // namespace parlance::llm
