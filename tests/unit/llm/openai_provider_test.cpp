#include "llm/openai_provider.h"

#include <memory>
#include <string>
#include <vector>

#include <boost/asio.hpp>
#include <catch2/catch.hpp>

#include "base/json.h"
#include "tests/unit/llm/model_upstream.h"

namespace parlance::llm {
namespace {

using namespace std::chrono_literals;
using namespace test;

struct Fixture {
  explicit Fixture(ScriptedUpstream::Script script) : upstream(io, std::move(script)), loop(io) {
    options.name = "fake";
    options.kind = ProviderOptions::Kind::openai;
    options.base_url = upstream.base_url();
    options.api_key = "sk-secret\n";
  }
  /// Starts a call with `options` as they are now.
  void start(CallId call = 1) {
    if (!provider) provider = std::make_unique<OpenAiProvider>(loop, options);
    provider->start(call, ask("Hi"), sink);
  }
  void run_to_end(std::size_t ends = 1) {
    REQUIRE(run_until(io, [&] { return sink.ends() >= ends; }));
  }
  const ModelFailure& failure() {
    start();
    run_to_end();
    REQUIRE(sink.failures.size() == 1);
    return sink.failures.front();
  }

  boost::asio::io_context io;
  ScriptedUpstream upstream;
  http::TransferLoop loop;
  ProviderOptions options;
  RecordingSink sink;
  std::unique_ptr<OpenAiProvider> provider;
};

/// Text, two interleaved tool calls, usage.
const std::string recorded =
    text_event("Let me look") + text_event(" \xd9\x85\xd8\xb1\xd8\xad\xd8\xa8\xd8\xa7.") +
    ": keep-alive\n\n"
    R"(data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"pay","arguments":""}}]}}]})"
    "\n\n"
    R"(data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"amount\":1"}}]}}]})"
    "\n\n"
    R"(data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"b","function":{"name":"now","arguments":"{}"}}]}}]})"
    "\n\n"
    R"(data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"00}"}}]}}]})"
    "\n\n" +
    finish_event("tool_calls") + usage_event(11, 7) + kDoneEvent;

const std::vector<ToolCall> recorded_calls = {{"a", "pay", "{\"amount\":100}"}, {"b", "now", "{}"}};
const std::string recorded_text = "Let me look \xd9\x85\xd8\xb1\xd8\xad\xd8\xa8\xd8\xa7.";

std::string with_crlf(const std::string& text) {
  std::string out;
  for (const char c : text) out += c == '\n' ? std::string("\r\n") : std::string(1, c);
  return out;
}

}  // namespace

TEST_CASE("a streamed answer arrives as deltas and as a whole") {
  std::string body;
  Fixture f([&](int, const std::string& sent) {
    body = sent;
    return Reply{{chunked_stream(hello_events())}};
  });
  f.start();
  CHECK(f.sink.ends() == 0);
  f.run_to_end();
  REQUIRE(f.sink.answers.size() == 1);
  CHECK(f.sink.answers[0].text == "Hello, world");
  CHECK(f.sink.text == "Hello, world");
  CHECK(f.sink.deltas == 2);
  CHECK(f.sink.answers[0].usage == ModelUsage{3, 2});
  CHECK(f.sink.answers[0].finish_reason == "stop");
  CHECK(f.upstream.last_head.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"));
  CHECK(f.upstream.last_head.find("Authorization: Bearer sk-secret\r\n") != std::string::npos);
  CHECK(json::parse(body).has_value());
}

TEST_CASE("a stream cut at any byte never gives a partial answer or tool call") {
  const bool chunked = GENERATE(false, true);
  const std::string response = chunked ? chunked_stream({recorded}) : stream_head() + recorded;
  // From here on the answer is known to be whole.
  const std::size_t finished_at =
      response.find("\n\n", response.find("\"finish_reason\":\"tool_calls\"")) + 2;
  std::size_t cut = 0;
  Fixture f([&](int, const std::string&) {
    return Reply{{response.substr(0, cut)}, Reply::Then::close};
  });
  CallId call = 0;
  for (cut = 0; cut <= response.size(); ++cut) {
    f.sink = RecordingSink();
    f.start(++call);
    f.run_to_end();
    run_ready(f.io);
    REQUIRE(f.sink.ends() == 1);
    if (cut >= finished_at) {
      REQUIRE(f.sink.answers.size() == 1);
      REQUIRE(f.sink.answers[0].tool_calls == recorded_calls);
      REQUIRE(f.sink.answers[0].text == recorded_text);
      REQUIRE(f.sink.text == recorded_text);
    } else {
      REQUIRE(f.sink.failures.size() == 1);
      REQUIRE(f.sink.failures[0].retryable);
      REQUIRE(recorded_text.starts_with(f.sink.text));
      REQUIRE(json::valid_utf8(f.sink.text));
    }
  }
}

TEST_CASE("a stream split at any byte gives the same answer") {
  const bool crlf = GENERATE(false, true);
  const std::string response = stream_head() + (crlf ? with_crlf(recorded) : recorded);
  std::size_t split = 0;
  Fixture f([&](int, const std::string&) {
    return Reply{{response.substr(0, split), response.substr(split)}, Reply::Then::close};
  });
  CallId call = 0;
  for (split = 1; split < response.size(); ++split) {
    f.sink = RecordingSink();
    f.start(++call);
    f.run_to_end();
    REQUIRE(f.sink.answers.size() == 1);
    REQUIRE(f.sink.answers[0].tool_calls == recorded_calls);
    REQUIRE(f.sink.text == recorded_text);
    REQUIRE(f.sink.answers[0].usage == ModelUsage{11, 7});
  }
}

TEST_CASE("a stream with a finish reason and no [DONE] is complete") {
  Fixture f([](int, const std::string&) {
    return Reply{{stream_head() + text_event("yes") + finish_event("stop")}, Reply::Then::close};
  });
  f.start();
  f.run_to_end();
  REQUIRE(f.sink.answers.size() == 1);
  CHECK(f.sink.answers[0].text == "yes");
}

TEST_CASE("a stream with [DONE] and no finish reason is complete") {
  Fixture f([](int, const std::string&) {
    return Reply{{stream_head() + text_event("yes") + kDoneEvent}, Reply::Then::stall};
  });
  f.start();
  f.run_to_end();
  REQUIRE(f.sink.answers.size() == 1);
  CHECK(f.sink.answers[0].text == "yes");
}

TEST_CASE("an upstream that ignores `stream` and answers plainly is understood") {
  Fixture f([](int, const std::string&) {
    return Reply{{http_response(
        "200 OK", R"({"choices":[{"message":{"content":"plain"},"finish_reason":"stop"}]})",
        "Content-Type: application/json; charset=utf-8\r\n")}};
  });
  f.start();
  f.run_to_end();
  REQUIRE(f.sink.answers.size() == 1);
  CHECK(f.sink.answers[0].text == "plain");
  CHECK(f.sink.text == "plain");
}

TEST_CASE("calls one after the other share a connection") {
  Fixture f([](int, const std::string&) { return Reply{{chunked_stream(hello_events())}}; });
  for (CallId call = 1; call <= 20; ++call) {
    f.start(call);
    f.run_to_end(call);
    run_ready(f.io);
  }
  CHECK(f.sink.answers.size() == 20);
  CHECK(f.upstream.requests == 20);
  CHECK(f.upstream.connections == 1);
}

TEST_CASE("calls at the same time have connections of their own, which are used again") {
  Fixture f([](int, const std::string&) { return Reply{{chunked_stream(hello_events())}}; });
  for (std::size_t round = 1; round <= 3; ++round) {
    for (CallId call = 0; call < 10; ++call) f.start(round * 10 + call);
    f.run_to_end(round * 10);
    run_ready(f.io);
  }
  CHECK(f.sink.answers.size() == 30);
  CHECK(f.upstream.connections <= 10);
}

TEST_CASE("cancelling a call closes the upstream's connection and says nothing more") {
  Fixture f([](int, const std::string&) {
    return Reply{{stream_head() + text_event("one"), text_event("two")}, Reply::Then::stall};
  });
  SECTION("between two deltas") {
    f.start();
    REQUIRE(run_until(f.io, [&] { return f.sink.deltas == 2; }));
    f.provider->cancel(1);
  }
  SECTION("from inside a delta") {
    f.sink.when_text = [&] { f.provider->cancel(1); };
    f.start();
    REQUIRE(run_until(f.io, [&] { return f.sink.deltas == 1; }));
  }
  CHECK(run_until(f.io, [&] { return f.upstream.closed_by_client == 1; }));
  CHECK(f.sink.ends() == 0);
  CHECK(f.sink.deltas <= 2);
}

/// Some upstreams tell the usage so far with every chunk.
const std::string usage_so_far = text_event("one") + usage_event(3, 1);

TEST_CASE("cancelling a call returns the usage that was told before") {
  Fixture f([](int, const std::string&) {
    return Reply{{stream_head() + usage_so_far, text_event("two")}, Reply::Then::stall};
  });
  f.start();
  REQUIRE(run_until(f.io, [&] { return f.sink.deltas == 2; }));
  CHECK(f.provider->cancel(1) == ModelUsage{3, 1});
  CHECK(f.provider->cancel(1) == ModelUsage{});
}

TEST_CASE("a stream cut midway fails with the usage that was told before") {
  Fixture f([](int, const std::string&) {
    return Reply{{stream_head() + usage_so_far}, Reply::Then::close};
  });
  CHECK(f.failure().usage == ModelUsage{3, 1});
}

TEST_CASE("a call may be cancelled before it has begun, and twice") {
  Fixture f([](int, const std::string&) { return Reply{{}, Reply::Then::stall}; });
  f.start();
  f.provider->cancel(1);
  f.provider->cancel(1);
  f.start(2);
  REQUIRE(run_until(f.io, [&] { return f.upstream.requests == 1; }));
  f.provider->cancel(2);
  CHECK(run_until(f.io, [&] { return f.upstream.closed_by_client == 1; }));
  CHECK(f.sink.ends() == 0);
}

TEST_CASE("one call may cancel another from inside its delta") {
  Fixture f([](int, const std::string&) {
    return Reply{{stream_head() + text_event("x")}, Reply::Then::stall};
  });
  f.sink.when_text = [&] {
    f.provider->cancel(1);
    f.provider->cancel(2);
  };
  f.start(1);
  f.start(2);
  REQUIRE(run_until(f.io, [&] { return f.sink.deltas > 0; }));
  CHECK(run_until(f.io, [&] { return f.upstream.closed_by_client == f.upstream.connections; }));
  CHECK(f.sink.deltas == 1);
  CHECK(f.sink.ends() == 0);
}

TEST_CASE("a provider may go while calls run") {
  Fixture f([](int, const std::string&) {
    return Reply{{stream_head() + text_event("x")}, Reply::Then::stall};
  });
  f.start();
  REQUIRE(run_until(f.io, [&] { return f.sink.deltas == 1; }));
  f.provider.reset();
  CHECK(run_until(f.io, [&] { return f.upstream.closed_by_client == 1; }));
  CHECK(f.sink.ends() == 0);
}

TEST_CASE("HTTP errors are told apart by whether another try may help") {
  struct Case {
    const char* status;
    bool retryable;
    Errc code;
  };
  const Case expected = GENERATE(Case{"429 Too Many Requests", true, Errc::resource_exhausted},
                                 Case{"500 Internal Server Error", true, Errc::unavailable},
                                 Case{"503 Service Unavailable", true, Errc::unavailable},
                                 Case{"408 Request Timeout", true, Errc::deadline_exceeded},
                                 Case{"400 Bad Request", false, Errc::invalid_argument},
                                 Case{"422 Unprocessable Entity", false, Errc::invalid_argument},
                                 Case{"401 Unauthorized", false, Errc::failed_precondition},
                                 Case{"403 Forbidden", false, Errc::failed_precondition},
                                 Case{"404 Not Found", false, Errc::failed_precondition},
                                 Case{"302 Found", false, Errc::failed_precondition});
  Fixture f([&](int, const std::string&) {
    return Reply{{http_response(expected.status,
                                R"({"error":{"message":"You sent sk-secret, which is wrong."}})",
                                "Retry-After: 3\r\nLocation: http://127.0.0.1:1/\r\n")}};
  });
  const ModelFailure failure = f.failure();
  CHECK(failure.retryable == expected.retryable);
  CHECK(failure.code == expected.code);
  CHECK(failure.retry_after == 3s);
  CHECK(
      failure.detail.starts_with("provider fake answered HTTP " + std::string(expected.status, 3)));
  CHECK(failure.detail.ends_with(": You sent ***, which is wrong."));
}

TEST_CASE("an error body of any size is quoted short and does not hold the call up") {
  Fixture f([](int, const std::string&) {
    return Reply{{"HTTP/1.1 500 No\r\nContent-Length: 1000000\r\n\r\n" + std::string(100'000, 'x')},
                 Reply::Then::stall};
  });
  CHECK(f.failure().detail.size() < 300);
  CHECK(run_until(f.io, [&] { return f.upstream.closed_by_client == 1; }));
}

TEST_CASE("garbage in place of an answer is a failure with a clear sentence") {
  struct Case {
    std::string response;
    std::string says;
  };
  const Case given = GENERATE(
      Case{"\x01\x02garbage\r\n\r\n", "could not be reached"},
      Case{http_response("200 OK", "<html>\nLog in</html>", "Content-Type: text/html\r\n"),
           "is not an event stream: <html> Log in</html>"},
      Case{http_response("200 OK", "data: {broken\n\n", "Content-Type: text/event-stream\r\n"),
           "a chunk that is not JSON: {broken"},
      Case{http_response("200 OK", "[]", "Content-Type: application/json\r\n"), "not JSON"},
      Case{http_response("200 OK", "{}", "Content-Type: application/json\r\n"), "no completion"},
      Case{http_response("200 OK", "", "Content-Type: text/event-stream\r\n"), "cut the stream"},
      Case{http_response("200 OK", "data: {\"error\":{\"message\":\"overloaded\"}}\n\n", ""),
           "reported an error: overloaded"});
  Fixture f([&](int, const std::string&) { return Reply{{given.response}, Reply::Then::close}; });
  const ModelFailure failure = f.failure();
  INFO(failure.detail);
  CHECK(failure.detail.find(given.says) != std::string::npos);
  CHECK(failure.retryable);
  CHECK(f.sink.text.empty());
}

TEST_CASE("an upstream that never answers is given up after the first-token timeout") {
  Fixture f([](int, const std::string&) { return Reply{{}, Reply::Then::stall}; });
  f.options.first_token_timeout = 50ms;
  const ModelFailure failure = f.failure();
  CHECK(failure.code == Errc::deadline_exceeded);
  CHECK(failure.retryable);
  CHECK(failure.detail == "provider fake did not begin its answer within 50 ms");
  CHECK(run_until(f.io, [&] { return f.upstream.closed_by_client == 1; }));
}

TEST_CASE("comments do not count as the beginning of an answer") {
  Fixture f([](int, const std::string&) {
    return Reply{{stream_head() + ": processing\n\n"}, Reply::Then::stall};
  });
  f.options.first_token_timeout = 50ms;
  CHECK(f.failure().detail.find("did not begin") != std::string::npos);
}

TEST_CASE("an answer that stalls is given up after the idle timeout") {
  Fixture f([](int, const std::string&) {
    return Reply{{stream_head() + text_event("so far")}, Reply::Then::stall};
  });
  f.options.idle_timeout = 50ms;
  CHECK(f.failure().detail == "provider fake sent nothing for 50 ms in the middle of its answer");
  CHECK(f.sink.text == "so far");
}

TEST_CASE("a call has a time limit of its own") {
  Fixture f([](int, const std::string&) {
    return Reply{{stream_head() + text_event("so far")}, Reply::Then::stall};
  });
  f.options.call_timeout = 50ms;
  CHECK(f.failure().detail == "provider fake took longer than 50 ms for its answer");
}

TEST_CASE("nobody listening is a failure that may be tried again") {
  Fixture f([](int, const std::string&) { return Reply{}; });
  boost::asio::ip::tcp::acceptor closed(f.io, {boost::asio::ip::make_address("127.0.0.1"), 0});
  f.options.base_url = "http://127.0.0.1:" + std::to_string(closed.local_endpoint().port());
  closed.close();
  const ModelFailure failure = f.failure();
  CHECK(failure.retryable);
  CHECK(failure.code == Errc::unavailable);
  CHECK(failure.detail.starts_with("provider fake could not be reached: "));
}

TEST_CASE("a URL that is none of ours fails for good") {
  Fixture f([](int, const std::string&) { return Reply{}; });
  f.options.base_url = GENERATE("ftp://127.0.0.1/v1", "http://[broken", "file:///etc/passwd");
  const ModelFailure failure = f.failure();
  CHECK_FALSE(failure.retryable);
  CHECK(failure.code == Errc::invalid_argument);
}

TEST_CASE("an answer over its limits is cut off") {
  Fixture f([](int, const std::string&) {
    return Reply{{stream_head() + text_event("0123456789") + text_event("0123456789")},
                 Reply::Then::stall};
  });
  SECTION("the text") {
    f.options.answer_bytes_max = 15;
    CHECK(f.failure().detail == "provider fake answered with more than 15 bytes");
    CHECK(f.sink.text == "0123456789");
  }
  SECTION("a line") {
    f.options.line_bytes_max = 50;
    CHECK(f.failure().detail == "provider fake sent a line of more than 50 bytes");
  }
  CHECK_FALSE(f.sink.failures[0].retryable);
  CHECK(run_until(f.io, [&] { return f.upstream.closed_by_client == 1; }));
}

TEST_CASE("a new call may begin from inside the end of another") {
  Fixture f([](int request, const std::string&) {
    if (request == 0) return Reply{{stream_head() + text_event("x")}, Reply::Then::close};
    return Reply{{chunked_stream(hello_events())}};
  });
  struct Restarting final : ModelSink {
    void on_text(CallId, std::string_view) override {}
    void on_finished(CallId, ModelAnswer) override { ++finished; }
    void on_failed(CallId call, ModelFailure) override {
      provider->start(call, ask("again"), *this);
    }
    OpenAiProvider* provider = nullptr;
    int finished = 0;
  } sink;
  f.provider = std::make_unique<OpenAiProvider>(f.loop, f.options);
  sink.provider = f.provider.get();
  f.provider->start(1, ask("Hi"), sink);
  CHECK(run_until(f.io, [&] { return sink.finished == 1; }));
}

}  // namespace parlance::llm
