#include "llm/model_dispatcher.h"

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include <boost/asio.hpp>
#include <catch2/catch.hpp>

#include "http/transfer_loop.h"
#include "tests/unit/llm/model_upstream.h"

namespace parlance::llm {
namespace {

using namespace std::chrono_literals;
using namespace test;

/// A provider that does nothing until the test says so.
class FakeProvider final : public Provider {
 public:
  void start(CallId call, std::shared_ptr<const ModelRequest>, ModelSink& sink) override {
    ++starts;
    running[call] = &sink;
  }
  ModelUsage cancel(CallId call) override {
    cancels += static_cast<int>(running.erase(call));
    return told;
  }

  void text(CallId call, std::string_view delta) { running.at(call)->on_text(call, delta); }
  void finish(CallId call) {
    ModelSink* sink = running.at(call);
    running.erase(call);
    sink->on_finished(call, {"done", {}, {1, 2}, "stop"});
  }
  void fail(CallId call, bool retryable = true,
            std::optional<std::chrono::milliseconds> retry_after = {}) {
    ModelSink* sink = running.at(call);
    running.erase(call);
    sink->on_failed(call, {Errc::unavailable, "it failed", retryable, retry_after, told});
  }

  int starts = 0;
  int cancels = 0;
  ModelUsage told;  ///< Of calls that do not finish.
  std::unordered_map<CallId, ModelSink*> running;
};

ProviderOptions upstream_options(const std::string& name) {
  ProviderOptions options;
  options.name = name;
  options.kind = ProviderOptions::Kind::openai;
  options.backoff_first = 2ms;
  options.backoff_max = 50ms;
  options.tries_max = 3;
  return options;
}

struct Fixture {
  /// `fakes` are those of `providers`, then those of `named`.
  explicit Fixture(std::vector<ProviderOptions> providers,
                   std::vector<ProviderOptions> named = {}) {
    options.providers = std::move(providers);
    options.named = std::move(named);
    DispatcherSeams seams;
    seams.jitter = [] { return 0.0; };
    seams.make_provider = [this](const ProviderOptions&, http::TransferLoop&) {
      auto provider = std::make_unique<FakeProvider>();
      fakes.push_back(provider.get());
      return provider;
    };
    gates = make_gates(options);
    meters = make_meters(options);
    dispatcher = std::make_unique<ModelDispatcher>(io, options, gates, seams, meters);
  }
  std::vector<ProviderView> view() const { return view_providers(options, gates, meters); }
  void start(CallId call) { dispatcher->start(call, ask("Hi"), sink); }
  void start_at(const std::string& provider, CallId call) {
    auto request = std::make_shared<ModelRequest>(*ask("Hi"));
    request->provider = provider;
    dispatcher->start(call, std::move(request), sink);
  }
  bool runs(CallId call, std::size_t provider = 0) {
    return run_until(io, [&] { return fakes[provider]->running.contains(call); });
  }
  /// A condition that should stay as it is, looked at after everything ready has run.
  void settle() { run_ready(io); }

  boost::asio::io_context io;
  Options options;
  std::vector<FakeProvider*> fakes;
  RecordingSink sink;
  std::vector<std::shared_ptr<ProviderGate>> gates;
  std::vector<std::shared_ptr<ProviderMeter>> meters;
  std::unique_ptr<ModelDispatcher> dispatcher;
};

}  // namespace

TEST_CASE("an answer passes through the dispatcher") {
  Fixture f({upstream_options("a")});
  f.start(1);
  CHECK(f.fakes[0]->starts == 0);
  REQUIRE(f.runs(1));
  f.fakes[0]->text(1, "Hel");
  f.fakes[0]->text(1, "lo");
  f.fakes[0]->finish(1);
  CHECK(f.sink.text == "Hello");
  REQUIRE(f.sink.answers.size() == 1);
  CHECK(f.sink.answers[0].usage == ModelUsage{1, 2});
}

TEST_CASE("a failure before the first delta is tried again, up to the number of tries") {
  Fixture f({upstream_options("a")});
  f.start(1);
  for (int tries = 1; tries <= 3; ++tries) {
    REQUIRE(f.runs(1));
    CHECK(f.fakes[0]->starts == tries);
    CHECK(f.sink.ends() == 0);
    f.fakes[0]->fail(1);
  }
  REQUIRE(f.sink.failures.size() == 1);
  CHECK(f.sink.failures[0].detail == "it failed");
}

TEST_CASE("a failure after the first delta is passed on") {
  Fixture f({upstream_options("a"), upstream_options("b")});
  f.start(1);
  REQUIRE(f.runs(1));
  f.fakes[0]->text(1, "so far");
  f.fakes[0]->fail(1);
  CHECK(f.sink.failures.size() == 1);
  f.settle();
  CHECK(f.fakes[0]->starts == 1);
  CHECK(f.fakes[1]->starts == 0);
}

TEST_CASE("a failure that no try can help goes to the next provider at once") {
  Fixture f({upstream_options("a"), upstream_options("b")});
  f.start(1);
  REQUIRE(f.runs(1));
  f.fakes[0]->fail(1, false);
  REQUIRE(f.runs(1, 1));
  f.fakes[1]->finish(1);
  CHECK(f.sink.answers.size() == 1);
  CHECK(f.fakes[0]->starts == 1);
}

TEST_CASE("every provider has tries of its own, and the last failure is passed on") {
  Fixture f({upstream_options("a"), upstream_options("b")});
  f.start(1);
  for (std::size_t provider = 0; provider < 2; ++provider) {
    for (int tries = 0; tries < 3; ++tries) {
      REQUIRE(f.runs(1, provider));
      f.fakes[provider]->fail(1);
    }
  }
  CHECK(f.sink.failures.size() == 1);
  CHECK(f.fakes[0]->starts == 3);
  CHECK(f.fakes[1]->starts == 3);
}

TEST_CASE("a Retry-After is waited for, and a too long one is not") {
  Fixture f({upstream_options("a"), upstream_options("b")});
  f.start(1);
  REQUIRE(f.runs(1));
  const auto failed_at = std::chrono::steady_clock::now();
  f.fakes[0]->fail(1, true, 30ms);
  REQUIRE(f.runs(1));
  CHECK(std::chrono::steady_clock::now() - failed_at >= 30ms);
  f.fakes[0]->fail(1, true, 51ms);
  REQUIRE(f.runs(1, 1));
  CHECK(f.fakes[0]->starts == 2);
}

TEST_CASE("calls over the limit wait for a place, and calls over the queue are refused") {
  ProviderOptions options = upstream_options("a");
  options.in_flight_max = 1;
  options.queue_max = 1;
  Fixture f({options});
  f.start(1);
  REQUIRE(f.runs(1));
  f.start(2);
  f.settle();
  f.start(3);
  REQUIRE(run_until(f.io, [&] { return f.sink.failures.size() == 1; }));
  CHECK(f.sink.failures[0].code == Errc::resource_exhausted);
  CHECK(f.sink.failures[0].retryable);
  CHECK_FALSE(f.fakes[0]->running.contains(2));
  f.fakes[0]->finish(1);
  REQUIRE(f.runs(2));
  f.fakes[0]->finish(2);
  CHECK(f.sink.answers.size() == 2);
}

TEST_CASE("a call that waits too long for a place goes to the next provider") {
  ProviderOptions options = upstream_options("a");
  options.in_flight_max = 1;
  options.queue_timeout = 20ms;
  Fixture f({options, upstream_options("b")});
  f.start(1);
  REQUIRE(f.runs(1));
  f.start(2);
  REQUIRE(f.runs(2, 1));
  f.fakes[1]->finish(2);
  f.fakes[0]->finish(1);
  CHECK(f.sink.answers.size() == 2);
}

TEST_CASE("the breaker lets calls fail at once, or go to the fallback") {
  ProviderOptions options = upstream_options("a");
  options.breaker_failures = 2;
  options.breaker_open = 60s;
  options.tries_max = 1;
  const bool fallback = GENERATE(false, true);
  std::vector<ProviderOptions> providers{options};
  if (fallback) providers.push_back(upstream_options("b"));
  Fixture f(providers);
  for (CallId call = 1; call <= 2; ++call) {
    f.start(call);
    REQUIRE(f.runs(call));
    f.fakes[0]->fail(call);
    if (fallback) {
      REQUIRE(f.runs(call, 1));
      f.fakes[1]->finish(call);
    }
  }
  f.start(3);
  if (fallback) {
    REQUIRE(f.runs(3, 1));
  } else {
    REQUIRE(run_until(f.io, [&] { return f.sink.failures.size() == 3; }));
    CHECK(f.sink.failures[2].code == Errc::unavailable);
    CHECK(f.sink.failures[2].retry_after.value_or(0ms) > 50s);
  }
  CHECK(f.fakes[0]->starts == 2);
}

TEST_CASE("a call that waits is refused when the breaker opens") {
  ProviderOptions options = upstream_options("a");
  options.in_flight_max = 1;
  options.breaker_failures = 1;
  options.tries_max = 1;
  Fixture f({options});
  f.start(1);
  REQUIRE(f.runs(1));
  f.start(2);
  f.settle();
  f.fakes[0]->fail(1);
  REQUIRE(run_until(f.io, [&] { return f.sink.failures.size() == 2; }));
  CHECK(f.fakes[0]->starts == 1);
}

TEST_CASE("a call can be cancelled at every stage, and gives its place back") {
  ProviderOptions options = upstream_options("a");
  options.in_flight_max = 1;
  Fixture f({options});
  SECTION("before anything") {
    f.start(1);
    f.dispatcher->cancel(1);
    f.settle();
    CHECK(f.fakes[0]->starts == 0);
  }
  SECTION("while it waits for a place") {
    f.start(7);
    REQUIRE(f.runs(7));
    f.start(1);
    f.settle();
    f.dispatcher->cancel(1);
    f.fakes[0]->finish(7);
    f.settle();
    CHECK(f.fakes[0]->starts == 1);
    f.sink.answers.clear();
  }
  SECTION("while it has a place that it does not know of yet") {
    f.start(7);
    REQUIRE(f.runs(7));
    f.start(1);
    f.settle();
    f.fakes[0]->finish(7);
    f.dispatcher->cancel(1);
    f.settle();
    CHECK(f.fakes[0]->starts == 1);
    f.sink.answers.clear();
  }
  SECTION("while it runs") {
    f.start(1);
    REQUIRE(f.runs(1));
    f.dispatcher->cancel(1);
    CHECK(f.fakes[0]->cancels == 1);
  }
  SECTION("inside its own delta") {
    f.sink.when_text = [&] { f.dispatcher->cancel(1); };
    f.start(1);
    REQUIRE(f.runs(1));
    f.fakes[0]->text(1, "x");
    CHECK(f.fakes[0]->cancels == 1);
  }
  SECTION("during the backoff") {
    f.start(1);
    REQUIRE(f.runs(1));
    f.fakes[0]->fail(1);
    f.dispatcher->cancel(1);
  }
  f.dispatcher->cancel(1);
  CHECK(f.sink.ends() == 0);
  const int before = f.fakes[0]->starts;
  f.start(2);
  REQUIRE(f.runs(2));
  CHECK(f.fakes[0]->starts == before + 1);
}

TEST_CASE("a dispatcher may go while calls run and wait") {
  ProviderOptions options = upstream_options("a");
  options.in_flight_max = 1;
  Fixture f({options});
  f.start(1);
  REQUIRE(f.runs(1));
  f.start(2);
  f.settle();
  f.dispatcher.reset();
  f.settle();
  CHECK(f.sink.ends() == 0);
}

TEST_CASE("dispatchers of two cores share the node's places") {
  ProviderOptions options = upstream_options("a");
  options.in_flight_max = 1;
  Options both{{options}};
  const auto gates = make_gates(both);
  boost::asio::io_context first_io;
  boost::asio::io_context second_io;
  FakeProvider* fake = nullptr;
  DispatcherSeams seams;
  seams.make_provider = [&fake](const ProviderOptions&, http::TransferLoop&) {
    auto provider = std::make_unique<FakeProvider>();
    fake = provider.get();
    return provider;
  };
  RecordingSink sink;
  ModelDispatcher first(first_io, both, gates, seams);
  FakeProvider& first_fake = *fake;
  ModelDispatcher second(second_io, both, gates, seams);
  FakeProvider& second_fake = *fake;
  first.start(1, ask("Hi"), sink);
  REQUIRE(run_until(first_io, [&] { return first_fake.starts == 1; }));
  second.start(1, ask("Hi"), sink);
  run_ready(second_io);
  CHECK(second_fake.starts == 0);
  first_fake.finish(1);
  REQUIRE(run_until(second_io, [&] { return second_fake.starts == 1; }));
}

TEST_CASE("a call that names a provider goes to that one, whatever the order says") {
  Fixture f({upstream_options("a")}, {upstream_options("b"), upstream_options("c")});
  f.start_at("c", 1);
  REQUIRE(f.runs(1, 2));
  f.fakes[2]->finish(1);
  CHECK(f.sink.answers.size() == 1);
  CHECK(f.fakes[0]->starts + f.fakes[1]->starts == 0);
}

TEST_CASE("a call that names a provider has that one's tries and no fallback") {
  Fixture f({upstream_options("a")}, {upstream_options("b"), upstream_options("c")});
  f.start_at("b", 1);
  for (int tries = 1; tries <= 3; ++tries) {
    REQUIRE(f.runs(1, 1));
    CHECK(f.sink.ends() == 0);
    f.fakes[1]->fail(1);
  }
  CHECK(f.sink.failures.size() == 1);
  f.settle();
  CHECK(f.fakes[0]->starts + f.fakes[2]->starts == 0);
}

TEST_CASE("a call that names no provider never falls back to a named one") {
  Fixture f({upstream_options("a")}, {upstream_options("b")});
  f.start(1);
  REQUIRE(f.runs(1));
  f.fakes[0]->fail(1, false);
  CHECK(f.sink.failures.size() == 1);
  f.settle();
  CHECK(f.fakes[1]->starts == 0);
}

TEST_CASE("a named provider has places and a breaker of its own") {
  ProviderOptions named = upstream_options("b");
  named.in_flight_max = 1;
  named.queue_max = 0;
  named.breaker_failures = 1;
  named.breaker_open = 60s;
  named.tries_max = 1;
  Fixture f({upstream_options("a")}, {named});
  f.start_at("b", 1);
  REQUIRE(f.runs(1, 1));
  f.start_at("b", 2);
  REQUIRE(run_until(f.io, [&] { return f.sink.failures.size() == 1; }));
  CHECK(f.sink.failures[0].code == Errc::resource_exhausted);
  f.fakes[1]->fail(1);
  f.start_at("b", 3);
  REQUIRE(run_until(f.io, [&] { return f.sink.failures.size() == 3; }));
  CHECK(f.sink.failures[2].code == Errc::unavailable);
  CHECK(f.fakes[1]->starts == 1);
  f.start(4);
  CHECK(f.runs(4));
}

TEST_CASE("a call that names an unknown provider fails at once") {
  // Those in order cannot be named: a name says that the call is for that one alone.
  const std::string name = GENERATE("x", "a");
  Fixture f({upstream_options("a")}, {upstream_options("b")});
  f.start_at(name, 1);
  CHECK(f.sink.ends() == 0);
  REQUIRE(run_until(f.io, [&] { return f.sink.failures.size() == 1; }));
  CHECK(f.sink.failures[0].code == Errc::failed_precondition);
  CHECK_FALSE(f.sink.failures[0].retryable);
  CHECK(f.sink.failures[0].detail == "no provider is called " + name);
  CHECK(f.fakes[0]->starts + f.fakes[1]->starts == 0);
}

TEST_CASE("beside the offline provider a named one may be configured") {
  Fixture f({}, {upstream_options("b")});
  f.start_at("b", 1);
  REQUIRE(f.runs(1, 1));
  f.start(2);
  CHECK(f.runs(2, 0));
}

TEST_CASE("without any provider configured the offline one answers") {
  boost::asio::io_context io;
  const Options none;
  ModelDispatcher dispatcher(io, none, make_gates(none));
  RecordingSink sink;
  dispatcher.start(1, ask("Hi"), sink);
  CHECK(sink.ends() == 0);
  REQUIRE(run_until(io, [&] { return sink.ends() == 1; }));
  REQUIRE(sink.answers.size() == 1);
  CHECK(sink.answers[0].text == sink.text);
}

TEST_CASE("a refused call is tried again against a real upstream") {
  boost::asio::io_context io;
  ScriptedUpstream upstream(io, [](int request, const std::string&) {
    if (request == 0) return Reply{{http_response("429 Slow Down", "", "Retry-After: 0\r\n")}};
    if (request == 1) return Reply{{http_response("500 Oops", "")}};
    return Reply{{chunked_stream(hello_events())}};
  });
  ProviderOptions options = upstream_options("a");
  options.base_url = upstream.base_url();
  const Options all{{options}};
  ModelDispatcher dispatcher(io, all, make_gates(all));
  RecordingSink sink;
  dispatcher.start(1, ask("Hi"), sink);
  REQUIRE(run_until(io, [&] { return sink.ends() == 1; }));
  REQUIRE(sink.answers.size() == 1);
  CHECK(sink.answers[0].text == "Hello, world");
  CHECK(upstream.requests == 3);
  CHECK(upstream.connections == 1);
}

TEST_CASE("a call is in flight at its provider, then among its answers") {
  Fixture f({upstream_options("a")});
  f.start(1);
  REQUIRE(f.runs(1));
  CHECK(f.view().at(0).in_flight == 1);
  f.fakes[0]->text(1, "Hello");
  f.fakes[0]->finish(1);
  const ProviderView view = f.view().at(0);
  CHECK(view.in_flight == 0);
  CHECK(view.answered == 1);
  CHECK(view.first_texts == 1);
  CHECK(view.tokens_out == 2);
}

TEST_CASE("a provider's tokens cost what its prices say") {
  ProviderOptions options = upstream_options("a");
  options.prices = TokenPrices{.input = 0, .output = 1.5, .currency = "EUR"};
  Fixture f({options});
  f.start(1);
  REQUIRE(f.runs(1));
  f.fakes[0]->finish(1);
  const ProviderView view = f.view().at(0);
  REQUIRE(view.cost.has_value());
  CHECK(view.cost->amount == Approx(1.5e-6 * static_cast<double>(view.tokens_out)));
  CHECK(view.cost->currency == "EUR");
}

TEST_CASE("a cancelled call is no longer in flight, and counted with what was told of it") {
  Fixture f({upstream_options("a")});
  f.start(1);
  REQUIRE(f.runs(1));
  f.fakes[0]->told = {3, 4};
  f.dispatcher->cancel(1);
  const ProviderView view = f.view().at(0);
  CHECK(view.in_flight == 0);
  CHECK(view.cancelled == 1);
  CHECK(view.tokens_in == 3);
  CHECK(view.tokens_out == 4);
}

TEST_CASE("a call that is cancelled before it has a place is none of its provider's") {
  ProviderOptions options = upstream_options("a");
  options.in_flight_max = 1;
  Fixture f({options});
  f.start(1);
  REQUIRE(f.runs(1));
  f.start(2);
  f.settle();
  f.dispatcher->cancel(2);
  CHECK(f.view().at(0).cancelled == 0);
}

TEST_CASE("tokens of a call that failed midway are counted as far as they were told") {
  Fixture f({upstream_options("a")});
  f.start(1);
  REQUIRE(f.runs(1));
  f.fakes[0]->text(1, "so far");
  f.fakes[0]->told = {3, 4};
  f.fakes[0]->fail(1);
  CHECK(f.view().at(0).failed == 1);
  CHECK(f.view().at(0).tokens_in == 3);
  CHECK(f.view().at(0).tokens_out == 4);
}

TEST_CASE("providers are viewed in the order of the configuration, named ones last") {
  Fixture f({upstream_options("a"), upstream_options("b")}, {upstream_options("c")});
  const auto views = f.view();
  REQUIRE(views.size() == 3);
  CHECK(views[1].name == "b");
  CHECK_FALSE(views[1].named);
  CHECK(views[2].named);
  CHECK(views[2].breaker == ProviderView::Breaker::closed);
}

}  // namespace parlance::llm
