// The simulated upstream's audio routes, over a real socket. Client and server take turns on one
// thread.

#include <algorithm>
#include <fstream>
#include <string>

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <sys/socket.h>

#include "benchmarks/support/clock.h"
#include "benchmarks/support/event_loop.h"
#include "benchmarks/support/http.h"
#include "benchmarks/support/socket.h"
#include "benchmarks/upstream/audio.h"
#include "benchmarks/upstream/server.h"

namespace {

namespace bench = parlance::benchmarks;

constexpr const char* kSpeech = R"({"model":"m","voice":"v","input":"Hello."})";

struct Upstream {
  explicit Upstream(const char* script = "[]", const bench::UpstreamSettings& settings = {})
      : Upstream(bench::listen_on(bench::parse_address("127.0.0.1:0")), script, settings) {}
  Upstream(bench::Fd listener, const char* script, const bench::UpstreamSettings& settings)
      : address(bench::local_address(listener)),
        server(loop, std::move(listener), settings, bench::Script::parse(script)),
        socket(bench::start_connect(address)) {}

  /// What comes back until `bytes` of the body are there or the connection ends, for a request
  /// whose body is `start` and then zeros up to `length`.
  std::string exchange(const std::string& path, const std::string& type, const std::string& start,
                       size_t length, size_t bytes) {
    const std::string zeros(64 << 10, '\0');
    std::string out = fmt::format(
        "POST /v1/audio/{} HTTP/1.1\r\ncontent-type: {}\r\ncontent-length: {}\r\n\r\n{}", path,
        type, length, start);
    size_t left = length - start.size();
    std::string in;
    const auto pump = [&] {
      while (!out.empty() || left > 0) {
        if (out.empty()) {
          out.assign(zeros, 0, left);
          left -= out.size();
        }
        const ssize_t count = ::send(socket.get(), out.data(), out.size(), MSG_NOSIGNAL);
        if (count <= 0) break;
        out.erase(0, static_cast<size_t>(count));
      }
      char buffer[16 << 10];
      const ssize_t count = ::recv(socket.get(), buffer, sizeof(buffer), MSG_DONTWAIT);
      if (count == 0) return true;
      if (count > 0) in.append(buffer, static_cast<size_t>(count));
      const auto head = bench::parse_http_head(in);
      return head && in.size() >= head->bytes + bytes;
    };
    // Rounds end with the server's events; the short deadline is for what only the client sees.
    const int64_t deadline = bench::now_ns() + 10'000'000'000;
    bool done = pump();
    while (!done && bench::now_ns() < deadline) {
      done = loop.run_until(pump, bench::now_ns() + 20'000'000);
    }
    REQUIRE(done);
    return in;
  }
  std::string speak(size_t bytes) {
    return exchange("speech", "application/json", kSpeech, std::string(kSpeech).size(), bytes);
  }
  std::string transcribe(size_t length = 1'000) {
    return exchange("transcriptions", "multipart/form-data; boundary=x",
                    "--x\r\nContent-Disposition: form-data; name=\"file\"; "
                    "filename=\"a.wav\"\r\n\r\n",
                    length, 1);
  }

  bench::EventLoop loop;
  bench::Address address;
  bench::UpstreamServer server;
  bench::Fd socket;
};

std::string body_of(const std::string& answer) {
  return answer.substr(bench::parse_http_head(answer)->bytes);
}

std::string status_of(const std::string& answer) {
  return answer.substr(9, 3);
}

/// The megabytes of this process that were in memory at most since the last call.
size_t peak_mib() {
  size_t kib = 0;
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    if (word == "VmHWM:") status >> kib;
  }
  std::ofstream("/proc/self/clear_refs") << "5";
  return kib >> 10;
}

}  // namespace

TEST_CASE("a recording is answered with the script's text, else with the command line's") {
  bench::UpstreamSettings settings;
  settings.transcript = "Good morning.";
  Upstream upstream(R"([{"route":"transcriptions","text":"Hello."},{"route":"transcriptions"}])",
                    settings);
  CHECK(body_of(upstream.transcribe()) == R"({"text":"Hello."})");
  CHECK(body_of(upstream.transcribe()) == R"({"text":"Good morning."})");
}

TEST_CASE("a recording is read without being kept") {
  Upstream upstream;
  peak_mib();
  const size_t before = peak_mib();
  CHECK(status_of(upstream.transcribe(100 << 20)) == "200");
  CHECK(peak_mib() <= before + 8);
  CHECK(upstream.server.requests_json(bench::Route::transcriptions, false)
            .find(R"({"bytes":104857600,"form":)") == 1);
}

TEST_CASE("a request behind a recording is answered too") {
  Upstream upstream;
  CHECK(status_of(upstream.transcribe(300'000)) == "200");
  CHECK(status_of(upstream.speak(1)) == "200");
}

TEST_CASE("a recording that is no form is refused") {
  Upstream upstream;
  CHECK(status_of(upstream.exchange("transcriptions", "audio/wav", "RIFF", 4, 1)) == "400");
}

TEST_CASE("speech is as long as the script says, else as the command line does") {
  bench::UpstreamSettings settings;
  settings.speech_ms = 100;
  settings.speech_piece_ms = 0.1;
  Upstream upstream(R"([{"route":"speech","speech_ms":1000},{"route":"speech"}])", settings);
  const std::string second = bench::silent_mp3(1'000);
  const std::string answer = upstream.speak(second.size());
  CHECK(answer.find("content-type: audio/mpeg\r\n") != std::string::npos);
  CHECK(body_of(answer) == second);
  const std::string tenth = bench::silent_mp3(100);
  CHECK(body_of(upstream.speak(tenth.size())) == tenth);
}

TEST_CASE("the audio routes fail as the script says") {
  SECTION("by a status") {
    Upstream upstream(R"([{"route":"speech","status":429,"retry_after":3}])");
    const std::string answer = upstream.speak(1);
    CHECK(status_of(answer) == "429");
    CHECK(answer.find("retry-after: 3\r\n") != std::string::npos);
  }
  SECTION("by a cut in the middle") {
    Upstream upstream(R"([{"route":"speech","cut_at_byte":500}])");
    CHECK(body_of(upstream.speak(100'000)).size() == 500);
  }
  SECTION("by silence after half, and then the rest") {
    Upstream upstream(R"([{"route":"speech","stall_after_tokens":1,"stall_ms":1}])");
    const std::string whole = bench::silent_mp3(2'000);
    CHECK(body_of(upstream.speak(whole.size())) == whole);
  }
  SECTION("with a recording, by a status") {
    Upstream upstream(R"([{"route":"transcriptions","status":500}])");
    CHECK(status_of(upstream.transcribe()) == "500");
  }
}
