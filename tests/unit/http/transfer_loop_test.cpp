#include "http/transfer_loop.h"

#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include <boost/asio.hpp>
#include <catch2/catch.hpp>

#include "tests/unit/http/scripted_upstream.h"

namespace parlance::http {
namespace {

using namespace std::chrono_literals;
using namespace test;

struct RecordingHandler final : TransferHandler {
  void on_head(const ResponseHead& head) override {
    ++heads;
    status = head.status;
    content_type = head.content_type;
  }
  void on_body(std::string_view bytes) override {
    body += bytes;
    if (when_body) when_body();
  }
  void on_done(Status result) override {
    ++ends;
    done = std::move(result);
  }
  std::function<void()> when_body;
  int heads = 0;
  int ends = 0;
  int status = 0;
  std::string content_type;
  std::string body;
  std::optional<Status> done;
};

}  // namespace

TEST_CASE("a transfer reports its head, its body and its end") {
  boost::asio::io_context io;
  ScriptedUpstream upstream(io, [](int, const std::string& body) {
    return Reply{{"HTTP/1.1 100 Continue\r\n\r\n" +
                  http_response("418 Teapot", "echo " + body, "content-TYPE:  text/plain \r\n")}};
  });
  TransferLoop loop(io);
  RecordingHandler handler;
  loop.start({upstream.base_url() + "/x", {"X-Test: 1"}, "payload"}, handler);
  CHECK(handler.ends == 0);
  REQUIRE(run_until(io, [&] { return handler.ends == 1; }));
  CHECK(handler.heads == 1);
  CHECK(handler.status == 418);
  CHECK(handler.content_type == "text/plain");
  CHECK(handler.body == "echo payload");
  CHECK(handler.done->has_value());
  CHECK(upstream.last_head.find("X-Test: 1") != std::string::npos);
  CHECK(upstream.last_head.find("Expect") == std::string::npos);
}

TEST_CASE("a body of a megabyte is sent and received whole") {
  boost::asio::io_context io;
  ScriptedUpstream upstream(
      io, [](int, const std::string& body) { return Reply{{http_response("200 OK", body)}}; });
  TransferLoop loop(io);
  RecordingHandler handler;
  std::string body;
  while (body.size() < 1'500'000) body += std::to_string(body.size());
  loop.start({upstream.base_url(), {}, body}, handler);
  REQUIRE(run_until(io, [&] { return handler.ends == 1; }));
  CHECK(handler.body == body);
}

TEST_CASE("every method is sent as it is, also on a connection that served another one before") {
  boost::asio::io_context io;
  std::string body;
  ScriptedUpstream upstream(io, [&](int, const std::string& sent) {
    body = sent;
    return Reply{{http_response("200 OK", "x")}};
  });
  TransferLoop loop(io);
  const auto sent = [&](Method method, std::string with) {
    RecordingHandler handler;
    Request request{upstream.base_url(), {}, std::move(with)};
    request.method = method;
    loop.start(std::move(request), handler);
    REQUIRE(run_until(io, [&] { return handler.ends == 1; }));
    CHECK(handler.body == "x");
    return upstream.last_head.substr(0, upstream.last_head.find(' ')) + ":" + body;
  };
  CHECK(sent(Method::post, "one") == "POST:one");
  CHECK(sent(Method::get, "") == "GET:");
  CHECK(sent(Method::put, "two") == "PUT:two");
  CHECK(sent(Method::delete_, "") == "DELETE:");
  CHECK(sent(Method::post, "") == "POST:");
  CHECK(upstream.connections == 1);
}

TEST_CASE("a host name is looked up without stopping the loop") {
  boost::asio::io_context io;
  ScriptedUpstream upstream(
      io, [](int, const std::string&) { return Reply{{http_response("200 OK", "x")}}; });
  TransferLoop loop(io);
  RecordingHandler handler;
  std::string url = upstream.base_url();
  url.replace(url.find("127.0.0.1"), 9, "localhost");
  loop.start({url, {}, ""}, handler);
  REQUIRE(run_until(io, [&] { return handler.ends == 1; }));
  CHECK(handler.body == "x");
}

TEST_CASE("transfers may begin and be cancelled inside callbacks") {
  boost::asio::io_context io;
  ScriptedUpstream upstream(io, [](int, const std::string&) {
    return Reply{{stream_head() + "first", "second"}, Reply::Then::stall};
  });
  TransferLoop loop(io);
  RecordingHandler first;
  RecordingHandler second;
  RecordingHandler never;
  TransferId first_id = 0;
  first.when_body = [&] {
    loop.cancel(loop.start({upstream.base_url(), {}, ""}, never));
    loop.start({upstream.base_url(), {}, ""}, second);
    loop.cancel(first_id);
  };
  first_id = loop.start({upstream.base_url(), {}, ""}, first);
  REQUIRE(run_until(io, [&] { return second.body == "firstsecond"; }));
  CHECK(first.body == "first");
  CHECK(first.ends == 0);
  CHECK(never.heads == 0);
  CHECK(run_until(io, [&] { return upstream.closed_by_client == 1; }));
}

TEST_CASE("descriptors that curl closes and the kernel gives out again do no harm") {
  boost::asio::io_context io;
  ScriptedUpstream upstream(io, [](int request, const std::string&) {
    if (request % 3 == 0) return Reply{{http_response("200 OK", "x", "Connection: close\r\n")}};
    return Reply{{stream_head() + "x"}, Reply::Then::stall};
  });
  TransferLoop loop(io);
  std::vector<std::unique_ptr<RecordingHandler>> handlers;
  for (int round = 0; round < 100; ++round) {
    std::vector<TransferId> ids;
    const std::size_t begin = handlers.size();
    for (int i = 0; i < 6; ++i) {
      handlers.push_back(std::make_unique<RecordingHandler>());
      ids.push_back(loop.start({upstream.base_url(), {}, ""}, *handlers.back()));
    }
    REQUIRE(run_until(io, [&] {
      return std::all_of(handlers.begin() + static_cast<std::ptrdiff_t>(begin), handlers.end(),
                         [](const auto& handler) { return handler->body == "x"; });
    }));
    for (const TransferId id : ids) loop.cancel(id);
  }
  // Every connection ended: closed here, or by the upstream and then here.
  CHECK(run_until(io, [&] { return upstream.closed_by_client == upstream.connections; }));
}

TEST_CASE("timers run in order, once, and not when cancelled") {
  boost::asio::io_context io;
  TransferLoop loop(io);
  std::string order;
  loop.schedule(20ms, [&] { order += 'c'; });
  loop.schedule(5ms, [&] { order += 'b'; });
  const TimerId cancelled = loop.schedule(6ms, [&] { order += 'x'; });
  loop.schedule(0ms, [&] {
    order += 'a';
    loop.cancel_timer(cancelled);
    loop.schedule(1ms, [&] { order += '1'; });
  });
  loop.cancel_timer(999);
  CHECK(order.empty());
  REQUIRE(run_until(io, [&] { return order.size() == 4; }));
  CHECK(order == "a1bc");
}

TEST_CASE("functions may be posted from other threads and are dropped with the loop") {
  boost::asio::io_context io;
  auto loop = std::make_unique<TransferLoop>(io);
  int ran = 0;
  std::thread([&] { loop->post([&] { ++ran; }); }).join();
  REQUIRE(run_until(io, [&] { return ran == 1; }));
  loop->post([&] { ++ran; });
  loop.reset();
  run_ready(io);
  CHECK(ran == 1);
}

TEST_CASE("only this machine's own addresses are loopback") {
  CHECK(is_loopback_url("http://127.0.0.1:80/v1"));
  CHECK(is_loopback_url("https://LOCALHOST/v1"));
  CHECK(is_loopback_url("http://[::1]:8080"));
  CHECK_FALSE(is_loopback_url("http://127.0.0.1.example.com/"));
  CHECK_FALSE(is_loopback_url("http://localhost@example.com/"));
  CHECK_FALSE(is_loopback_url("http://example.com/localhost"));
  CHECK_FALSE(is_loopback_url("http://10.0.0.1"));
}

}  // namespace parlance::http
