#include "http/transfer_loop.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <span>
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
  CHECK(sent(Method::del, "") == "DELETE:");
  CHECK(sent(Method::post, "") == "POST:");
  CHECK(upstream.connections == 1);
}

/// A file of `bytes` bytes, each of them its place's last digit.
FormPart digits_file(std::uint64_t bytes) {
  FormPart part;
  part.name = "file";
  part.bytes = bytes;
  part.file_name = "a.bin";
  part.content_type = "audio/mpeg";
  part.read = [](std::uint64_t at, std::span<char> into) -> Result<std::size_t> {
    for (std::size_t i = 0; i < into.size(); ++i) {
      into[i] = static_cast<char>('0' + (at + i) % 10);
    }
    return into.size();
  };
  return part;
}

Request form_request(const ScriptedUpstream& upstream, FormPart file) {
  Request request{upstream.base_url(), {}, {}};
  request.form.push_back({"model", "m"});
  request.form.push_back(std::move(file));
  return request;
}

TEST_CASE("a form is sent with its texts and files, and the next request has none of it") {
  boost::asio::io_context io;
  std::string body;
  ScriptedUpstream upstream(io, [&](int, const std::string& sent) {
    body = sent;
    return Reply{{http_response("200 OK", "x")}};
  });
  TransferLoop loop(io);
  RecordingHandler handler;
  loop.start(form_request(upstream, digits_file(12)), handler);
  REQUIRE(run_until(io, [&] { return handler.ends == 1; }));
  const std::size_t type = upstream.last_head.find("multipart/form-data; boundary=");
  REQUIRE(type != std::string::npos);
  const std::size_t from = upstream.last_head.find('=', type) + 1;
  const std::string edge =
      "--" + upstream.last_head.substr(from, upstream.last_head.find("\r\n", from) - from);
  CHECK(body == edge + "\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n" + edge +
                    "\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.bin\"\r\n"
                    "Content-Type: audio/mpeg\r\n\r\n012345678901\r\n" +
                    edge + "--\r\n");
  loop.start({upstream.base_url(), {}, "plain"}, handler);
  REQUIRE(run_until(io, [&] { return handler.ends == 2; }));
  CHECK(body == "plain");
  CHECK(upstream.last_head.find("multipart") == std::string::npos);
}

TEST_CASE("a file is read in small pieces, and not far ahead of what the upstream has taken") {
  constexpr std::size_t kBytes = 64 << 20;
  constexpr std::size_t kAheadMax = 24 << 20;  // What the kernel may hold for both ends.
  boost::asio::io_context io;
  ScriptedUpstream upstream(
      io, [](int, const std::string&) { return Reply{{http_response("200 OK", "x")}}; });
  upstream.keeps_bodies = false;
  TransferLoop loop(io);
  RecordingHandler handler;
  FormPart file = digits_file(kBytes);
  std::size_t piece_max = 0;
  std::size_t ahead_max = 0;
  file.read = [&, digits = file.read](std::uint64_t at, std::span<char> into) {
    piece_max = std::max(piece_max, into.size());
    const std::uint64_t taken = std::min<std::uint64_t>(at, upstream.bytes_received);
    ahead_max = std::max<std::size_t>(ahead_max, at - taken);
    return digits(at, into);
  };
  loop.start(form_request(upstream, std::move(file)), handler);
  REQUIRE(run_until(io, [&] { return handler.ends == 1; }));
  CHECK(handler.done->has_value());
  CHECK(upstream.bytes_received > kBytes);
  CHECK(piece_max <= 64 << 10);
  CHECK(ahead_max < kAheadMax);
}

TEST_CASE("a file that cannot be read ends its transfer with the reason") {
  boost::asio::io_context io;
  ScriptedUpstream upstream(io, [](int, const std::string&) { return Reply{}; });
  TransferLoop loop(io);
  RecordingHandler handler;
  FormPart file = digits_file(1'000'000);
  file.read = [digits = file.read](std::uint64_t at, std::span<char> into) -> Result<std::size_t> {
    if (at > 100'000) return Error{Errc::corrupted, "torn"};
    return digits(at, into);
  };
  loop.start(form_request(upstream, std::move(file)), handler);
  REQUIRE(run_until(io, [&] { return handler.ends == 1; }));
  REQUIRE(handler.done->has_error());
  CHECK(handler.done->error().code == Errc::corrupted);
  CHECK(handler.done->error().detail == "torn");
}

TEST_CASE("a transfer that is cancelled while its file is read reads no more of it") {
  boost::asio::io_context io;
  ScriptedUpstream upstream(io, [](int, const std::string&) { return Reply{}; });
  TransferLoop loop(io);
  RecordingHandler handler;
  TransferId transfer = 0;
  int reads = 0;
  FormPart file = digits_file(1'000'000);
  file.read = [&, digits = file.read](std::uint64_t at, std::span<char> into) {
    ++reads;
    loop.cancel(transfer);
    return digits(at, into);
  };
  transfer = loop.start(form_request(upstream, std::move(file)), handler);
  REQUIRE(run_until(io, [&] { return upstream.closed_by_client == 1; }));
  run_ready(io);
  CHECK(reads == 1);
  CHECK(handler.ends == 0);
}

TEST_CASE("a file is sent again from its start when a kept connection turns out to be closed") {
  boost::asio::io_context io;
  std::string body;
  ScriptedUpstream upstream(io, [&](int request, const std::string& sent) {
    body = sent;
    if (request == 1) return Reply{{}, Reply::Then::close};
    return Reply{{http_response("200 OK", "x")}};
  });
  TransferLoop loop(io);
  RecordingHandler handler;
  loop.start({upstream.base_url(), {}, "first"}, handler);
  REQUIRE(run_until(io, [&] { return handler.ends == 1; }));
  loop.start(form_request(upstream, digits_file(100'000)), handler);
  REQUIRE(run_until(io, [&] { return handler.ends == 2; }));
  CHECK(handler.done->has_value());
  CHECK(upstream.requests == 3);
  CHECK(body.find("\r\n\r\n0123456789") != std::string::npos);
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
