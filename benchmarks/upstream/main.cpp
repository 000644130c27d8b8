// parlance-upstream: a simulated OpenAI-compatible model provider, for tests and measurements.
//
// One thread, no sleeping, answers made from ready pieces: it must never be what limits a
// measurement (see benchmarks/RESULTS.md for its own ceiling). It can misbehave in every way that
// real providers do; how is said in script.h.

#include <csignal>
#include <cstdio>
#include <exception>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

#include "benchmarks/support/event_loop.h"
#include "benchmarks/support/socket.h"
#include "benchmarks/upstream/script.h"
#include "benchmarks/upstream/server.h"
#include "benchmarks/upstream/settings.h"

namespace {

namespace bench = parlance::benchmarks;

/// Stops the loop on SIGINT and SIGTERM.
class StopOnSignal : public bench::EventSource {
 public:
  explicit StopOnSignal(bench::EventLoop& loop) : loop_(loop) {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    fd_ = bench::Fd(::signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC));
    loop_.add(fd_.get(), EPOLLIN, this);
  }

  void on_ready(uint32_t) override { loop_.stop(); }

 private:
  bench::EventLoop& loop_;
  bench::Fd fd_;
};

bench::Script read_script(const std::string& path) {
  if (path.empty()) return {};
  std::ifstream file(path);
  if (!file) throw std::invalid_argument(fmt::format("cannot open the script {}", path));
  std::stringstream text;
  text << file.rdbuf();
  return bench::Script::parse(text.str());
}

int serve(const std::string& listen, const std::string& script_path,
          const bench::UpstreamSettings& settings) {
  bench::Script script = read_script(script_path);
  bench::raise_open_files_limit();
  bench::EventLoop loop;
  StopOnSignal stop(loop);
  bench::Fd listener = bench::listen_on(bench::parse_address(listen));
  fmt::print("listening on {}\n", bench::local_address(listener).text());
  std::fflush(stdout);
  const bench::UpstreamServer server(loop, std::move(listener), settings, std::move(script));
  loop.run();
  return 0;
}

int run_program(int argc, char** argv) {
  CLI::App app(
      "Simulated OpenAI-compatible upstream: chat completions (streamed and plain, with tool "
      "calls), embeddings, models, audio transcriptions and speech.\nGET /stats and GET /requests "
      "tell what has arrived.");
  app.footer(std::string(bench::script_help()));
  std::string listen = "127.0.0.1:0";
  std::string script_path;
  bench::UpstreamSettings settings;
  app.add_option("--listen", listen,
                 "ADDR:PORT; port 0 takes a free one, which the first line tells")
      ->capture_default_str();
  app.add_option("--first-token-ms", settings.first_token_ms, "wait before the first token")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--token-ms", settings.token_ms, "wait between tokens")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--tokens", settings.tokens, "tokens of an answer")
      ->check(CLI::Range(0u, 100'000'000u))
      ->capture_default_str();
  app.add_option("--batch", settings.batch, "tokens per chunk")
      ->check(CLI::Range(1u, 1'000'000u))
      ->capture_default_str();
  app.add_option(
         "--jitter", settings.jitter,
         "0: exact waits; up to 1: the more of it, the more random (exponential gaps, log-normal "
         "first tokens)")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  app.add_option("--seed", settings.seed, "the same seed and question give the same answer")
      ->capture_default_str();
  app.add_flag("--stamp", settings.stamp,
               "each delta's text begins with its monotonic send time in ns and '|'");
  app.add_option("--transcript", settings.transcript,
                 "what is heard in every recording; without it some words");
  app.add_option("--transcription-ms", settings.transcription_ms, "wait before a transcript")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--speech-ms", settings.speech_ms, "length of the silence that texts become")
      ->check(CLI::Range(0.0, 36e6))
      ->capture_default_str();
  app.add_option("--speech-wait-ms", settings.speech_wait_ms, "wait before the first byte of it")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--speech-piece-bytes", settings.speech_piece_bytes,
                 "it comes in pieces of this size; 0: in one")
      ->capture_default_str();
  app.add_option("--speech-piece-ms", settings.speech_piece_ms, "wait between the pieces")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--script", script_path, "JSON file of behaviours, see below");
  CLI11_PARSE(app, argc, argv);
  return serve(listen, script_path, settings);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run_program(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "parlance-upstream: %s\n", error.what());
    return 1;
  }
}
