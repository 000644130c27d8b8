#include "http/fetcher.h"

#include <memory>
#include <optional>
#include <string>

#include <boost/asio.hpp>
#include <catch2/catch.hpp>

#include "tests/unit/http/scripted_upstream.h"

namespace parlance::http {
namespace {

using namespace std::chrono_literals;
using namespace test;

struct Fixture {
  explicit Fixture(ScriptedUpstream::Script script)
      : upstream(io, std::move(script)), loop(io), fetcher(std::make_unique<Fetcher>(loop)) {}

  FetchId fetch(FetchLimits limits = {}) {
    Request request{upstream.base_url(), {}, {}};
    request.method = Method::get;
    return fetcher->fetch(std::move(request), limits, [this](Result<Answer> result) {
      ++ends;
      last = std::move(result);
      if (when_done) when_done();
    });
  }
  bool ended(int times = 1) {
    return run_until(io, [&] { return ends == times; });
  }

  boost::asio::io_context io;
  ScriptedUpstream upstream;
  TransferLoop loop;
  std::unique_ptr<Fetcher> fetcher;
  std::function<void()> when_done;
  int ends = 0;
  std::optional<Result<Answer>> last;
};

}  // namespace

TEST_CASE("a fetch gives the status and the whole body, also of a refusal") {
  Fixture f([](int, const std::string&) {
    std::string response = http_response("429 Slow Down", "not now", "Retry-After: 7\r\n");
    return Reply{{response.substr(0, response.size() - 3), response.substr(response.size() - 3)}};
  });
  f.fetch();
  CHECK(f.ends == 0);
  REQUIRE(f.ended());
  REQUIRE(f.last->has_value());
  CHECK((*f.last)->status == 429);
  CHECK((*f.last)->body == "not now");
  CHECK((*f.last)->retry_after == "7");
}

TEST_CASE("a body over its limit fails the fetch and closes the connection") {
  const std::size_t bytes_max = GENERATE(3, 4);
  Fixture f([](int, const std::string&) { return Reply{{http_response("200 OK", "four")}}; });
  f.fetch({5s, bytes_max});
  REQUIRE(f.ended());
  if (bytes_max == 4) {
    CHECK(f.last->has_value());
  } else {
    REQUIRE(f.last->has_error());
    CHECK(f.last->error().code == Errc::resource_exhausted);
    CHECK(run_until(f.io, [&] { return f.upstream.closed_by_client == 1; }));
  }
}

TEST_CASE("an answer that does not end in time fails the fetch") {
  Fixture f([](int, const std::string&) {
    return Reply{{"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart"}, Reply::Then::stall};
  });
  f.fetch({20ms, 100});
  REQUIRE(f.ended());
  REQUIRE(f.last->has_error());
  CHECK(f.last->error().code == Errc::deadline_exceeded);
  CHECK(run_until(f.io, [&] { return f.upstream.closed_by_client == 1; }));
}

TEST_CASE("an answer that is cut fails the fetch") {
  Fixture f([](int, const std::string&) {
    return Reply{{"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart"}, Reply::Then::close};
  });
  f.fetch();
  REQUIRE(f.ended());
  REQUIRE(f.last->has_error());
  CHECK(f.last->error().code == Errc::unavailable);
}

TEST_CASE("a cancelled fetch says nothing, and neither do those of a fetcher that went") {
  Fixture f([](int, const std::string&) { return Reply{{}, Reply::Then::stall}; });
  const FetchId first = f.fetch();
  f.fetch();
  REQUIRE(run_until(f.io, [&] { return f.upstream.requests == 2; }));
  f.fetcher->cancel(first);
  f.fetcher->cancel(first);
  CHECK(run_until(f.io, [&] { return f.upstream.closed_by_client == 1; }));
  f.fetcher.reset();
  CHECK(run_until(f.io, [&] { return f.upstream.closed_by_client == 2; }));
  CHECK(f.ends == 0);
}

TEST_CASE("a fetch's end may start the next one, or be the end of the fetcher") {
  Fixture f([](int, const std::string&) { return Reply{{http_response("200 OK", "x")}}; });
  f.when_done = [&] {
    if (f.ends < 3) {
      f.fetch();
    } else {
      f.fetcher.reset();
    }
  };
  f.fetch();
  REQUIRE(f.ended(3));
  CHECK(f.upstream.connections == 1);
}

}  // namespace parlance::http
