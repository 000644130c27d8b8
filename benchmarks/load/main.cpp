// parlance-load: the load harness. One thread, one epoll loop, own framing; see modes.h for what
// each mode measures. What it prints about itself (lag, processor share) decides whether its
// numbers may be used.

#include <cstdio>
#include <exception>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "benchmarks/load/modes.h"
#include "benchmarks/support/socket.h"

namespace {

namespace bench = parlance::benchmarks;

constexpr size_t kConnectionsMax = 19'000;

/// The action to take once the arguments are known to be good.
using Action = std::function<int()>;

void add_output_options(CLI::App& mode, bench::CommonOptions& common) {
  mode.add_option("--json", common.json_path, "also write the results to this file");
  mode.add_flag("--quiet", common.quiet, "no progress on stderr");
  mode.add_option("--server-pid", common.server_pid,
                  "process whose processor time and memory are told");
  mode.add_option("--api-key", common.fleet.api_key, "sent as Authorization: Bearer");
}

void add_common_options(CLI::App& mode, bench::CommonOptions& common) {
  common.fleet.chat_prefix = bench::fresh_prefix("load");
  mode.add_option("--url", common.fleet.url,
                  "ws://HOST:PORT[/PATH]; {chat_id} in the path is replaced\n(default path: " +
                      std::string(bench::WebsocketFleet::kChatPath) + ")")
      ->required();
  mode.add_option("--chat-prefix", common.fleet.chat_prefix,
                  "chat ids are PREFIX-0, PREFIX-1, ... (default: a new one each time)");
  mode.add_option("--handshakes", common.fleet.handshakes_max, "connections opened at one time")
      ->check(CLI::Range(size_t{1}, kConnectionsMax))
      ->capture_default_str();
  add_output_options(mode, common);
}

CLI::Option* add_count(CLI::App& mode, const char* name, size_t& value, const char* what,
                       size_t most = kConnectionsMax) {
  return mode.add_option(name, value, what)
      ->check(CLI::Range(size_t{1}, most))
      ->capture_default_str();
}

CLI::Option* add_seconds(CLI::App& mode, const char* name, double& value, const char* what) {
  return mode.add_option(name, value, what)
      ->check(CLI::Range(0.0, 86'400.0))
      ->capture_default_str();
}

constexpr size_t kMessageBytesMax = 16 << 20;

void add_run(CLI::App& app, Action& action, bench::RunOptions& options) {
  CLI::App* mode = app.add_subcommand("run", "open loop of chat messages (the default mode)");
  add_common_options(*mode, options.common);
  add_count(*mode, "--sessions", options.sessions, "chats, one connection each");
  mode->add_option("--rate", options.rate, "messages per second, all sessions together")
      ->check(CLI::Range(0.001, 1e6))
      ->capture_default_str();
  add_seconds(*mode, "--duration", options.duration_s, "seconds that are measured");
  add_seconds(*mode, "--warmup", options.warmup_s, "seconds before, not measured");
  add_seconds(*mode, "--drain", options.drain_s, "seconds to wait at most for the last answers");
  add_count(*mode, "--bytes", options.message_bytes, "length of a message", kMessageBytesMax);
  mode->add_option("--text", options.text, "how every message begins");
  mode->add_option("--seed", options.common.seed, "of the arrival times")->capture_default_str();
  mode->callback([&] { action = [&] { return bench::measure_run(options); }; });
}

void add_echo(CLI::App& app, Action& action, bench::EchoOptions& options) {
  CLI::App* mode = app.add_subcommand("echo", "closed loop, one frame outstanding per connection");
  add_common_options(*mode, options.common);
  using Target = bench::EchoOptions::Target;
  const std::map<std::string, Target> targets{{"raw", Target::raw}, {"ping", Target::ping}};
  mode->add_option("--target", options.target,
                   "raw: text frames to an echo server; ping: ping frames to the session's actor")
      ->transform(CLI::CheckedTransformer(targets))
      ->default_str("raw");
  add_count(*mode, "--connections", options.connections, "connections, one chat each");
  add_count(*mode, "--bytes", options.bytes, "payload of a frame", kMessageBytesMax);
  add_seconds(*mode, "--duration", options.duration_s, "seconds that are measured");
  add_seconds(*mode, "--warmup", options.warmup_s, "seconds before, not measured");
  mode->callback([&] { action = [&] { return bench::measure_echo(options); }; });
}

void add_idle(CLI::App& app, Action& action, bench::IdleOptions& options) {
  CLI::App* mode = app.add_subcommand(
      "idle", "memory per attached session, and processor time when all is quiet");
  add_common_options(*mode, options.common);
  add_count(*mode, "--from", options.from, "sockets at the first point");
  add_count(*mode, "--to", options.to, "sockets at the last point");
  add_count(*mode, "--steps", options.steps, "points", 1'000);
  mode->add_option("--exchange", options.exchange_bytes,
                   "each session first sends one message of so many bytes and gets its answer")
      ->check(CLI::Range(size_t{0}, kMessageBytesMax))
      ->capture_default_str();
  add_count(*mode, "--exchanges", options.exchanges_max, "such messages under way at one time");
  add_seconds(*mode, "--settle", options.settle_s, "seconds between a step and its reading");
  add_count(*mode, "--idle-sockets", options.idle_sockets, "sockets at the quiet measurement");
  add_seconds(*mode, "--idle-seconds", options.idle_s, "length of it; 0: none");
  mode->callback([&] { action = [&] { return bench::measure_idle(options); }; });
}

void add_durable(CLI::App& app, Action& action, bench::DurableOptions& options) {
  CLI::App* mode = app.add_subcommand("durable", "closed loop of messages, counted when on disk");
  add_common_options(*mode, options.common);
  add_count(*mode, "--sessions", options.sessions, "chats, one connection each");
  add_count(*mode, "--inflight", options.inflight, "messages under way per session", 10'000);
  add_count(*mode, "--bytes", options.bytes, "length of a message", kMessageBytesMax);
  using Release = bench::DurableOptions::Release;
  const std::map<std::string, Release> releases{{"ack", Release::ack}, {"end", Release::end}};
  mode->add_option("--release", options.release,
                   "a message makes room for the next at its durable ack or at its end")
      ->transform(CLI::CheckedTransformer(releases))
      ->default_str("end");
  mode->add_option("--on-busy", options.on_busy, "the messages' \"on_busy\", such as steer");
  add_seconds(*mode, "--duration", options.duration_s, "seconds that are measured");
  add_seconds(*mode, "--warmup", options.warmup_s, "seconds before, not measured");
  mode->callback([&] { action = [&] { return bench::measure_durable(options); }; });
}

void add_direct(CLI::App& app, Action& action, bench::DirectOptions& options) {
  CLI::App* mode = app.add_subcommand("direct", "the model call alone, to an upstream or a proxy");
  mode->add_option("--url", options.url,
                   "http://HOST:PORT[/PATH] (default path: /v1/chat/completions)")
      ->required();
  add_output_options(*mode, options.common);
  mode->add_option("--rate", options.rate, "requests per second; 0: closed loop")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
  add_count(*mode, "--concurrency", options.concurrency, "streams at one time, with --rate 0");
  add_seconds(*mode, "--duration", options.duration_s, "seconds that are measured");
  add_seconds(*mode, "--warmup", options.warmup_s, "seconds before, not measured");
  add_seconds(*mode, "--drain", options.drain_s, "seconds to wait at most for the last answers");
  mode->add_option("--model", options.model, "the request's model")->capture_default_str();
  add_count(*mode, "--bytes", options.message_bytes, "length of the message", kMessageBytesMax);
  mode->add_option("--seed", options.common.seed, "of the arrival times")->capture_default_str();
  mode->callback([&] { action = [&] { return bench::measure_direct(options); }; });
}

void add_wake(CLI::App& app, Action& action, bench::WakeOptions& options) {
  CLI::App* mode = app.add_subcommand("wake", "the first word to sleeping sessions");
  add_common_options(*mode, options.common);
  add_count(*mode, "--chats", options.chats, "chats, one connection each");
  mode->add_flag("--prepare", options.prepare,
                 "only make the chats with their history; then restart the server and run again "
                 "without, with the same --chat-prefix");
  add_count(*mode, "--history", options.history_messages, "messages of each chat", 10'000);
  add_count(*mode, "--bytes", options.message_bytes, "length of a message", kMessageBytesMax);
  add_seconds(*mode, "--settle", options.settle_s, "seconds between connecting and the first ping");
  mode->add_option("--seed", options.common.seed, "of the order of pings")->capture_default_str();
  mode->callback([&] { action = [&] { return bench::measure_wake(options); }; });
}

void add_kiss(CLI::App& app, Action& action, bench::KissOptions& options) {
  CLI::App* mode = app.add_subcommand("kiss", "queries of the KISS stack over REST");
  mode->add_option("--url", options.url, "http://HOST:PORT")->required();
  add_output_options(*mode, options.common);
  add_count(*mode, "--sessions", options.sessions, "sessions, one connection each");
  mode->add_option("--rate", options.rate,
                   "queries per second, all sessions together; 0: each session asks again as soon "
                   "as it is answered")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
  add_seconds(*mode, "--duration", options.duration_s, "seconds that are measured");
  add_seconds(*mode, "--warmup", options.warmup_s, "seconds before, not measured");
  add_seconds(*mode, "--drain", options.drain_s, "seconds to wait at most for the last answers");
  add_count(*mode, "--bytes", options.message_bytes, "length of a question", kMessageBytesMax);
  mode->add_option("--seed", options.common.seed, "of the arrival times")->capture_default_str();
  mode->callback([&] { action = [&] { return bench::measure_kiss(options); }; });
}

void add_kiss_store(CLI::App& app, Action& action, bench::KissStoreOptions& options) {
  CLI::App* mode =
      app.add_subcommand("kiss-store", "files stored in the KISS stack, and questions about them");
  mode->add_option("--url", options.url, "http://HOST:PORT")->required();
  add_output_options(*mode, options.common);
  add_count(*mode, "--files", options.files, "files of one request", 10'000);
  add_count(*mode, "--bytes", options.file_bytes, "length of a file", kMessageBytesMax);
  mode->add_option("--questions", options.questions, "asked once the files are stored")
      ->check(CLI::Range(size_t{0}, size_t{10'000}))
      ->capture_default_str();
  add_seconds(*mode, "--duration", options.duration_s,
              "store again and again, in new sessions, until so many seconds are over");
  mode->add_option("--seed", options.common.seed, "of the texts")->capture_default_str();
  mode->callback([&] { action = [&] { return bench::measure_kiss_store(options); }; });
}

void add_http(CLI::App& app, Action& action, bench::HttpOptions& options) {
  CLI::App* mode = app.add_subcommand("http", "one request again and again, of any server");
  mode->add_option("--url", options.url, "http://HOST:PORT/PATH")->required();
  add_output_options(*mode, options.common);
  add_count(*mode, "--connections", options.connections, "each with one request at a time");
  mode->add_option("--body", options.body, "JSON to post; without it the request is a GET");
  add_seconds(*mode, "--duration", options.duration_s, "seconds that are measured");
  add_seconds(*mode, "--warmup", options.warmup_s, "seconds before, not measured");
  mode->callback([&] { action = [&] { return bench::measure_http(options); }; });
}

/// `run` may be left out.
std::vector<std::string> arguments_of(int argc, char** argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  const bool names_mode = !arguments.empty() && arguments.front().substr(0, 1) != "-";
  const bool asks_help =
      !arguments.empty() && (arguments.front() == "-h" || arguments.front() == "--help");
  if (!names_mode && !asks_help) arguments.insert(arguments.begin(), "run");
  return {arguments.rbegin(), arguments.rend()};  // the order that CLI11 wants
}

int run_program(int argc, char** argv) {
  CLI::App app(
      "Load harness for the step stream (/chat/{chat_id}), the KISS stack, and their baselines.",
      "parlance-load");
  app.footer(
      "Exit code 0: measured; 1: could not measure; 3: measured, but the numbers must not be used "
      "(the report says why).\nEvery mode has its own --help.");
  app.require_subcommand(1);
  Action action;
  bench::RunOptions run;
  bench::EchoOptions echo;
  bench::IdleOptions idle;
  bench::DurableOptions durable;
  bench::DirectOptions direct;
  bench::WakeOptions wake;
  bench::KissOptions kiss;
  bench::KissStoreOptions kiss_store;
  bench::HttpOptions http;
  add_run(app, action, run);
  add_echo(app, action, echo);
  add_idle(app, action, idle);
  add_durable(app, action, durable);
  add_direct(app, action, direct);
  add_wake(app, action, wake);
  add_kiss(app, action, kiss);
  add_kiss_store(app, action, kiss_store);
  add_http(app, action, http);
  try {
    app.parse(arguments_of(argc, argv));
  } catch (const CLI::ParseError& error) {
    return app.exit(error);
  }
  bench::raise_open_files_limit();
  return action();
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run_program(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "parlance-load: %s\n", error.what());
    return bench::kExitFailed;
  }
}
