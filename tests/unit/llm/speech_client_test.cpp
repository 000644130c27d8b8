#include "llm/speech_client.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio.hpp>
#include <catch2/catch.hpp>
#include <fcntl.h>
#include <unistd.h>

#include "base/json.h"
#include "http/transfer_loop.h"
#include "tests/unit/http/scripted_upstream.h"

namespace parlance::llm {
namespace {

using namespace std::chrono_literals;
using namespace http::test;

constexpr const char* kMp3 = "Content-Type: audio/mpeg\r\n";
constexpr const char* kHeard = R"({"text":"Hello."})";

/// A file without a name.
class UnnamedFile {
 public:
  explicit UnnamedFile(std::string_view content) : fd_(::open("/tmp", O_TMPFILE | O_RDWR, 0600)) {
    REQUIRE(fd_ >= 0);
    REQUIRE(::write(fd_, content.data(), content.size()) == static_cast<ssize_t>(content.size()));
  }
  UnnamedFile(const UnnamedFile&) = delete;
  UnnamedFile& operator=(const UnnamedFile&) = delete;
  ~UnnamedFile() { ::close(fd_); }
  int get() const { return fd_; }
  void resize(off_t bytes) const { REQUIRE(::ftruncate(fd_, bytes) == 0); }

 private:
  int fd_;
};

/// The start of an answer of `promised` bytes, of which only `body` comes.
std::string cut_response(std::string_view body, std::size_t promised, std::string_view headers) {
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(promised) + "\r\n" +
         std::string(headers) + "\r\n" + std::string(body);
}

struct Fixture {
  explicit Fixture(ScriptedUpstream::Script script)
      : upstream(io,
                 [this, script = std::move(script)](int request, const std::string& body) {
                   bodies.push_back(body);
                   return script(request, body);
                 }),
        loop(io) {
    options.base_url = upstream.base_url();
    options.api_key = "sk-secret\n";
    options.backoff_first = 1ms;
    options.backoff_max = 40ms;
  }

  SpeechClient& started() {
    if (!client) client = std::make_unique<SpeechClient>(loop, options, [] { return 0.0; });
    return *client;
  }
  SpeechId transcribe(int descriptor) {
    recording.descriptor = descriptor;
    const int call = ++calls;
    return started().transcribe(recording, [this, call](Result<Transcript> result) {
      transcripts.emplace(call, std::move(result));
      if (when_done) when_done();
    });
  }
  SpeechId transcribe() { return transcribe(file.get()); }
  SpeechId speak(std::string text) {
    const int call = ++calls;
    return started().speak(
        std::move(text), "",
        [this](std::string_view bytes) {
          audio += bytes;
          if (when_bytes) when_bytes();
        },
        [this, call](Status result) {
          spoken.emplace(call, std::move(result));
          if (when_done) when_done();
        });
  }
  const Result<Transcript>& heard(int call = 1) {
    REQUIRE(run_until(io, [&] { return transcripts.contains(call); }));
    return transcripts.at(call);
  }
  const Status& said(int call = 1) {
    REQUIRE(run_until(io, [&] { return spoken.contains(call); }));
    return spoken.at(call);
  }
  /// Of a call of either kind that fails.
  Error error() {
    REQUIRE(run_until(io, [&] { return !transcripts.empty() || !spoken.empty(); }));
    const bool failed =
        transcripts.empty() ? spoken.at(1).has_error() : transcripts.at(1).has_error();
    REQUIRE(failed);
    Error out = transcripts.empty() ? spoken.at(1).error() : transcripts.at(1).error();
    CHECK(out.detail.find("secret") == std::string::npos);
    return out;
  }
  bool silent() {
    run_ready(io);
    return transcripts.empty() && spoken.empty();
  }

  boost::asio::io_context io;
  std::vector<std::string> bodies;  // Of each request.
  ScriptedUpstream upstream;
  http::TransferLoop loop;
  UnnamedFile file{"RIFF some audio"};
  SpeechOptions options;
  Recording recording{-1, "voice.wav", "audio/wav", ""};
  std::unique_ptr<SpeechClient> client;
  std::function<void()> when_bytes;
  std::function<void()> when_done;
  std::map<int, Result<Transcript>> transcripts;  // By call, from 1.
  std::map<int, Status> spoken;
  std::string audio;
  int calls = 0;
};

/// Begins a call of the kind that the test is run with.
void begin(Fixture& f, bool speaks) {
  if (speaks) {
    f.speak("Some words.");
  } else {
    f.transcribe();
  }
}

/// The megabytes of this process that were in memory at most since the last call.
std::size_t peak_mib() {
  std::size_t kib = 0;
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    if (word == "VmHWM:") status >> kib;
  }
  std::ofstream("/proc/self/clear_refs") << "5";
  return kib >> 10;
}

ScriptedUpstream::Script always(const Reply& reply) {
  return [reply](int, const std::string&) { return reply; };
}

}  // namespace

// ---- Recordings ----

TEST_CASE("a recording becomes a text") {
  Fixture f(always({{http_response("200 OK", kHeard)}}));
  f.transcribe();
  CHECK(f.transcripts.empty());
  REQUIRE(f.heard().has_value());
  CHECK(f.heard()->text == "Hello.");
  CHECK(f.upstream.last_head.starts_with("POST /v1/audio/transcriptions HTTP/1.1\r\n"));
  CHECK(f.upstream.last_head.find("Authorization: Bearer sk-secret\r\n") != std::string::npos);
}

TEST_CASE("a recording is sent with its name, its type, the model and the language") {
  Fixture f(always({{http_response("200 OK", kHeard)}}));
  f.recording.language = "ar";
  f.transcribe();
  REQUIRE(f.heard().has_value());
  const std::string& body = f.bodies.at(0);
  for (const char* part :
       {"name=\"model\"\r\n\r\nwhisper-1\r\n", "name=\"response_format\"\r\n\r\njson\r\n",
        "name=\"language\"\r\n\r\nar\r\n",
        "name=\"file\"; filename=\"voice.wav\"\r\nContent-Type: audio/wav\r\n\r\nRIFF some "
        "audio"}) {
    CAPTURE(part);
    CHECK(body.find(part) != std::string::npos);
  }
}

TEST_CASE("the caller may close the recording's descriptor at once") {
  Fixture f(always({{http_response("200 OK", kHeard)}}));
  {
    const UnnamedFile file("audio");
    f.transcribe(file.get());
  }
  CHECK(f.heard().has_value());
}

TEST_CASE("a name cannot break out of its header") {
  Fixture f(always({{http_response("200 OK", kHeard)}}));
  SECTION("by a quote") {
    f.recording.name = "a\"; x=\".wav";
    f.transcribe();
    REQUIRE(f.heard().has_value());
    CHECK(f.bodies.at(0).find("\"; x=\"") == std::string::npos);
  }
  SECTION("by a line break") {
    f.recording.name = "a\r\nX: 1";
    f.transcribe();
    CHECK(f.error().code == Errc::invalid_argument);
    CHECK(f.bodies.empty());
  }
}

TEST_CASE("recordings that cannot be sent are refused without a request") {
  Fixture f(always({{http_response("200 OK", kHeard)}}));
  f.options.upload_bytes_max = 10;
  UnnamedFile file("audio");
  int descriptor = file.get();
  SECTION("an empty one") {
    file.resize(0);
  }
  SECTION("one that is too big") {
    file.resize(11);
  }
  SECTION("none at all") {
    descriptor = -1;
  }
  SECTION("one in a language that is none") {
    f.recording.language = "English\r\n";
  }
  f.transcribe(descriptor);
  CHECK(f.transcripts.empty());
  CHECK(f.error().code == Errc::invalid_argument);
  CHECK(f.bodies.empty());
}

TEST_CASE("a recording that becomes shorter while it is sent fails without another try") {
  Fixture f(always({{http_response("200 OK", kHeard)}}));
  f.transcribe();
  f.file.resize(4);
  CHECK(f.error().code == Errc::corrupted);
  CHECK(f.bodies.empty());
}

TEST_CASE("what is no transcript fails the call, without another try and without what was heard") {
  const std::string body =
      GENERATE("<html>secret words", R"({"words":"secret words"})", "{\"text\":\"secret\xff\"}");
  Fixture f(always({{http_response("200 OK", body)}}));
  f.transcribe();
  f.error();
  CHECK(f.bodies.size() == 1);
}

TEST_CASE("a huge answer to a recording is refused") {
  Fixture f(always({{http_response("200 OK", std::string(2 << 20, ' '))}}));
  f.transcribe();
  CHECK(f.error().code == Errc::resource_exhausted);
  CHECK(f.bodies.size() == 1);
}

TEST_CASE("a transcript that is cut is not asked for again") {
  Fixture f(always({{cut_response(R"({"text":"He)", 100, "")}, Reply::Then::close}));
  f.transcribe();
  CHECK(f.error().code == Errc::unavailable);
  CHECK(f.bodies.size() == 1);
}

TEST_CASE("an upload that is not taken is given up after the idle time") {
  boost::asio::io_context io;
  boost::asio::ip::tcp::acceptor deaf(io, {boost::asio::ip::make_address("127.0.0.1"), 0});
  http::TransferLoop loop(io);
  SpeechOptions options;
  options.base_url = "http://127.0.0.1:" + std::to_string(deaf.local_endpoint().port());
  options.idle_timeout = 20ms;
  options.tries_max = 1;
  SpeechClient client(loop, options);
  const UnnamedFile file("");
  file.resize(static_cast<off_t>(options.upload_bytes_max));
  std::optional<Result<Transcript>> end;
  client.transcribe({file.get(), "a.wav", "audio/wav", ""},
                    [&](Result<Transcript> result) { end = std::move(result); });
  REQUIRE(run_until(io, [&] { return end.has_value(); }));
  REQUIRE(end->has_error());
  CHECK(end->error().code == Errc::deadline_exceeded);
  CHECK(end->error().detail == "provider speech took nothing of the recording for 20 ms");
}

TEST_CASE("a recording of 25 MiB is sent without being held") {
  Fixture f(always({{http_response("200 OK", kHeard)}}));
  f.upstream.keeps_bodies = false;
  f.file.resize(25 << 20);
  peak_mib();
  const std::size_t before = peak_mib();
  f.transcribe();
  REQUIRE(f.heard().has_value());
  CHECK(f.upstream.bytes_received > 25 << 20);
  CHECK(peak_mib() <= before + 8);
}

// ---- Speech ----

TEST_CASE("a text becomes audio, handed on as it comes") {
  Fixture f(always({{cut_response("one ", 12, kMp3), "two ", "more"}}));
  std::vector<std::string> seen;
  f.when_bytes = [&] { seen.push_back(f.audio); };
  f.speak("Say \"this\".");
  CHECK(f.spoken.empty());
  REQUIRE(f.said().has_value());
  CHECK(f.audio == "one two more");
  CHECK(seen.front() == "one ");
  CHECK(f.upstream.last_head.starts_with("POST /v1/audio/speech HTTP/1.1\r\n"));
  const auto body = json::parse(f.bodies.at(0));
  REQUIRE(body.has_value());
  CHECK(json::view(*json::find_string(*body, "input")) == "Say \"this\".");
  CHECK(json::view(*json::find_string(*body, "voice")) == "alloy");
}

TEST_CASE("a text that is too long for one request is spoken by several, in order") {
  Fixture f([](int, const std::string& body) {
    const auto parsed = json::parse(body);
    return Reply{{http_response("200 OK", json::view((*parsed)["input"]), kMp3)}};
  });
  f.options.request_characters_max = 12;
  f.speak(" One two. Three four.\n\nFive.  ");
  REQUIRE(f.said().has_value());
  CHECK(f.audio == "One two.Three four.Five.");
}

TEST_CASE("a later request of a long text is tried again, and nothing is said twice") {
  Fixture f([](int request, const std::string&) {
    if (request == 1) return Reply{{http_response("503 Busy", "")}};
    return Reply{{http_response("200 OK", std::to_string(request), kMp3)}};
  });
  f.options.request_characters_max = 6;
  f.speak("One. Two.");
  REQUIRE(f.said().has_value());
  CHECK(f.audio == "02");
}

TEST_CASE(
    "speech that is cut in the middle fails, is not tried again, and what came is handed on") {
  Fixture f(always({{cut_response("half", 8, kMp3)}, Reply::Then::close}));
  f.speak("Some words.");
  CHECK(f.error().code == Errc::unavailable);
  CHECK(f.audio == "half");
  CHECK(f.bodies.size() == 1);
}

TEST_CASE("speech that stops in the middle fails after the idle time") {
  Fixture f(always({{cut_response("half", 8, kMp3)}, Reply::Then::stall}));
  f.options.idle_timeout = 10ms;
  f.speak("Some words.");
  const Error error = f.error();
  CHECK(error.code == Errc::deadline_exceeded);
  CHECK(error.detail == "provider speech sent nothing for 10 ms in the middle of its answer");
  CHECK(f.bodies.size() == 1);
  CHECK(run_until(f.io, [&] { return f.upstream.closed_by_client == 1; }));
}

TEST_CASE(
    "an answer that is no mp3 fails with the provider's sentence, and none of it is handed on") {
  Fixture f(always({{http_response("200 OK", R"({"error":{"message":"no such voice, sk-secret"}})",
                                   "Content-Type: application/json\r\n")}}));
  f.speak("Some words.");
  const Error error = f.error();
  CHECK(error.code == Errc::failed_precondition);
  CHECK(error.detail ==
        "provider speech answered with application/json instead of mp3: no such voice, ***");
  CHECK(f.audio.empty());
}

TEST_CASE("an answer without audio is asked for again") {
  Fixture f([](int request, const std::string&) {
    return Reply{{http_response("200 OK", request == 0 ? "" : "audio", kMp3)}};
  });
  f.speak("Some words.");
  CHECK(f.said().has_value());
  CHECK(f.audio == "audio");
}

TEST_CASE("speech over its size is refused in the middle") {
  Fixture f(always({{http_response("200 OK", std::string(1 << 20, 'x'), kMp3)}}));
  f.options.speech_bytes_max = 100'000;
  f.speak("Some words.");
  CHECK(f.error().code == Errc::resource_exhausted);
  CHECK(f.audio.size() <= 100'000);
  CHECK(run_until(f.io, [&] { return f.upstream.closed_by_client == 1; }));
}

TEST_CASE("texts that cannot be spoken are refused without a request") {
  Fixture f(always({{http_response("200 OK", "x", kMp3)}}));
  f.options.text_bytes_max = 10;
  f.speak(GENERATE("", " \n", "secret \xff", "secret words"));
  CHECK(f.spoken.empty());
  CHECK(f.error().code == Errc::invalid_argument);
  CHECK(f.bodies.empty());
}

TEST_CASE("an error that repeats the text is told without it") {
  const std::string text = "My secret diary of today.";
  const std::string body = GENERATE(R"({"detail":[{"input":"My secret diary of today."}]})",
                                    R"({"error":"cannot say My secret diary of today."})");
  Fixture f(always({{http_response("422 No", body)}}));
  f.speak(text);
  const Error error = f.error();
  CHECK(error.code == Errc::invalid_argument);
  CHECK(error.detail == "provider speech answered HTTP 422");
}

// ---- Both ----

TEST_CASE("a call that fails for now is tried again") {
  const bool speaks = GENERATE(false, true);
  const std::string refusal = GENERATE(std::string(http_response("500 Oops", "oops")),
                                       std::string("nonsense\r\n\r\n"), std::string());
  Fixture f([&](int request, const std::string&) {
    if (request < 2) return Reply{{refusal}, Reply::Then::close};
    return Reply{{http_response("200 OK", speaks ? "audio" : kHeard, kMp3)}};
  });
  begin(f, speaks);
  if (speaks) {
    CHECK(f.said().has_value());
  } else {
    CHECK(f.heard().has_value());
  }
  CHECK(f.bodies.size() == 3);
}

TEST_CASE("the tries of a call are bounded") {
  Fixture f(always({{http_response("503 Busy", "busy")}}));
  begin(f, GENERATE(false, true));
  const Error error = f.error();
  CHECK(error.code == Errc::unavailable);
  CHECK(error.detail == "provider speech answered HTTP 503: busy");
  CHECK(f.bodies.size() == 3);
}

TEST_CASE("what no try can help ends the call at once, and no key is told") {
  Fixture f(always({{http_response("401 No", R"({"error":"bad key sk-secret"})")}}));
  begin(f, GENERATE(false, true));
  const Error error = f.error();
  CHECK(error.code == Errc::failed_precondition);
  CHECK(error.detail == "provider speech answered HTTP 401 (the API key was refused): bad key ***");
  CHECK(f.bodies.size() == 1);
}

TEST_CASE("a Retry-After is waited for where it is not too long") {
  const std::string header = GENERATE("Retry-After: 0\r\n", "Retry-After: 1\r\n");
  Fixture f([&](int request, const std::string&) {
    if (request == 0) return Reply{{http_response("429 Slow Down", "slow", header)}};
    return Reply{{http_response("200 OK", kHeard)}};
  });
  f.transcribe();
  if (header == "Retry-After: 0\r\n") {
    CHECK(f.heard().has_value());
  } else {
    CHECK(f.error().code == Errc::resource_exhausted);
  }
}

TEST_CASE("an answer that does not begin in time is asked for again, and then given up") {
  Fixture f(always({{}, Reply::Then::stall}));
  f.options.first_byte_timeout = 10ms;
  begin(f, GENERATE(false, true));
  const Error error = f.error();
  CHECK(error.code == Errc::deadline_exceeded);
  CHECK(error.detail == "provider speech did not begin its answer within 10 ms");
  CHECK(f.bodies.size() == 3);
}

TEST_CASE("a head without a body is no beginning of an answer") {
  Fixture f(always({{cut_response("", 8, kMp3)}, Reply::Then::stall}));
  f.options.first_byte_timeout = 10ms;
  f.speak("Some words.");
  CHECK(f.error().detail == "provider speech did not begin its answer within 10 ms");
  CHECK(f.bodies.size() == 3);
}

TEST_CASE("a call for speech that takes too long in all is given up") {
  Fixture f(always({{}, Reply::Then::stall}));
  f.options.call_timeout = 10ms;
  begin(f, GENERATE(false, true));
  CHECK(f.error().detail == "provider speech took longer than 10 ms");
}

TEST_CASE("without a provider a call says so") {
  Fixture f(always({{}}));
  f.options.base_url.clear();
  begin(f, GENERATE(false, true));
  CHECK(f.error().code == Errc::failed_precondition);
}

TEST_CASE("a provider that is not there is unavailable") {
  Fixture f(always({{}}));
  f.options.base_url = "http://127.0.0.1:1/v1";
  begin(f, GENERATE(false, true));
  CHECK(f.error().code == Errc::unavailable);
}

TEST_CASE("calls at once are bounded, and so are those that wait") {
  Fixture f([](int request, const std::string&) {
    if (request == 0) return Reply{{}, Reply::Then::stall};
    return Reply{{http_response("200 OK", "audio", kMp3)}};
  });
  f.options.in_flight_max = 1;
  f.options.queue_max = 1;
  const SpeechId first = f.speak("One.");
  f.speak("Two.");
  f.speak("Three.");
  REQUIRE(f.said(3).has_error());
  CHECK(f.said(3).error().code == Errc::resource_exhausted);
  REQUIRE(run_until(f.io, [&] { return f.bodies.size() == 1; }));
  run_ready(f.io);
  CHECK(f.bodies.size() == 1);
  f.client->cancel(first);
  CHECK(f.said(2).has_value());
}

TEST_CASE("a call waits for its place only so long") {
  Fixture f(always({{}, Reply::Then::stall}));
  f.options.in_flight_max = 1;
  f.options.queue_timeout = 10ms;
  f.speak("One.");
  f.speak("Two.");
  REQUIRE(f.said(2).has_error());
  CHECK(f.said(2).error().detail == "provider speech had no place within 10 ms");
  CHECK_FALSE(f.spoken.contains(1));
}

TEST_CASE("a provider that fails in a row is left alone") {
  Fixture f(always({{http_response("500 Oops", "")}}));
  f.options.breaker_failures = 2;
  f.options.tries_max = 2;
  f.options.breaker_open = 60s;
  f.speak("One.");
  REQUIRE(f.said(1).has_error());
  f.transcribe();
  REQUIRE(f.heard(2).has_error());
  CHECK(f.heard(2).error().code == Errc::unavailable);
  CHECK(f.heard(2).error().detail.find("left alone") != std::string::npos);
  CHECK(f.bodies.size() == 2);
}

TEST_CASE("a cancelled call closes its connection and says nothing") {
  Fixture f(always({{}, Reply::Then::stall}));
  const bool speaks = GENERATE(false, true);
  const SpeechId call = speaks ? f.speak("Some words.") : f.transcribe();
  REQUIRE(run_until(f.io, [&] { return f.bodies.size() == 1; }));
  SECTION("alone") {
    f.client->cancel(call);
    f.client->cancel(call);
  }
  SECTION("with the client") {
    f.client.reset();
  }
  CHECK(run_until(f.io, [&] { return f.upstream.closed_by_client == 1; }));
  CHECK(f.silent());
}

TEST_CASE(
    "a call may be cancelled before it began, while it waits for a place, and between tries") {
  Fixture f(always({{http_response("503 Busy", "")}}));
  f.options.backoff_first = 60s;
  f.options.backoff_max = 60s;
  f.options.in_flight_max = 1;
  const SpeechId first = f.transcribe();
  SECTION("before it began") {
    f.client->cancel(first);
    CHECK(f.silent());
    CHECK(f.bodies.empty());
  }
  SECTION("in the queue") {
    const SpeechId second = f.speak("Two.");
    f.client->cancel(second);
    f.client->cancel(first);
    CHECK(f.silent());
  }
  SECTION("between its tries") {
    REQUIRE(run_until(f.io, [&] { return f.bodies.size() == 1; }));
    run_ready(f.io);
    f.client->cancel(first);
    CHECK(f.silent());
  }
}

TEST_CASE("the audio's receiver may cancel the call or destroy the client") {
  Fixture f(always({{cut_response("one", 8, kMp3), "two"}, Reply::Then::stall}));
  SpeechId call = 0;
  const bool whole_client = GENERATE(false, true);
  f.when_bytes = [&] {
    if (whole_client) {
      f.client.reset();
    } else {
      f.client->cancel(call);
    }
  };
  call = f.speak("Some words.");
  CHECK(run_until(f.io, [&] { return f.upstream.closed_by_client == 1; }));
  CHECK(f.silent());
  CHECK(f.audio == "one");
}

TEST_CASE("the end of a call may begin another one, or be the end of the client") {
  Fixture f(always({{http_response("200 OK", kHeard)}}));
  f.when_done = [&] {
    if (f.calls < 3) {
      f.transcribe();
    } else {
      f.client.reset();
    }
  };
  f.transcribe();
  CHECK(f.heard(3).has_value());
  CHECK(f.client == nullptr);
}

}  // namespace parlance::llm
