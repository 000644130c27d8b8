// The project's own store, measured as the ceiling beside it is: messages of 512 B from many
// sessions, each with its message id checked and indexed, made durable in groups by one writer.
// Only the store's own time counts: events are encoded elsewhere, by the sessions.

#include <cstdio>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "base/clock.h"
#include "benchmarks/support/clock.h"
#include "benchmarks/support/histogram.h"
#include "benchmarks/support/report.h"
#include "benchmarks/support/scratch_directory.h"
#include "schemas/codec.h"
#include "storage/store.h"

namespace parlance {
namespace {

namespace bench = benchmarks;

struct BenchOptions {
  std::string dir;
  std::size_t sessions = 256;
  std::size_t text_bytes = 512;
  double seconds = 2;
  std::string json_path;
};

/// One message of each session: a group.
std::vector<storage::AppendRequest> make_group(const BenchOptions& options, std::uint64_t round) {
  std::vector<storage::AppendRequest> group(options.sessions);
  for (std::size_t i = 0; i < group.size(); ++i) {
    storage::AppendRequest& request = group[i];
    request.session.text = fmt::format("session-{}", i);
    request.last = round;
    if (round > 0) request.unfinished = request.unfinished_before = 1;  // Its run still goes on.
    storage::AppendRecord& record = request.records.emplace_back();
    record.message_id = fmt::format("message-{}", round);
    const std::string text(options.text_bytes, static_cast<char>('a' + (round + i) % 26));
    record.bytes = encode(MessageAccepted{{record.message_id}, text, OnBusy::queue}, wall_now());
  }
  return group;
}

int measure(const BenchOptions& options) {
  const bench::ScratchDirectory scratch(options.dir);
  storage::Options store_options;
  store_options.directory = scratch / "store";
  auto store = storage::Store::open(store_options);
  if (!store) throw std::runtime_error(store.error().detail);

  bench::Histogram latency;
  std::uint64_t round = 0;
  std::int64_t spent_ns = 0;
  while (spent_ns < bench::seconds_to_ns(options.seconds)) {
    const auto group = make_group(options, round++);
    const std::int64_t before = bench::now_ns();
    const auto outcomes = (*store)->append(group);
    if (!outcomes) throw std::runtime_error(outcomes.error().detail);
    const std::int64_t took = bench::now_ns() - before;
    latency.record(took);
    spent_ns += took;
  }

  bench::Report report("store-bench");
  report.add("records_per_group", static_cast<double>(options.sessions));
  report.add("text_bytes", static_cast<double>(options.text_bytes));
  report.add("durable_records_per_second",
             static_cast<double>(round * options.sessions) * 1e9 / static_cast<double>(spent_ns));
  report.add_latency("group", latency);
  report.publish(options.json_path);
  return 0;
}

int run_program(int argc, char** argv) {
  CLI::App app("How many messages the store alone makes durable per second.");
  BenchOptions options;
  app.add_option("--dir", options.dir, "where to write; on the disk that is to be measured")
      ->required()
      ->check(CLI::ExistingDirectory);
  app.add_option("--sessions", options.sessions, "records per group, each of another session")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  app.add_option("--bytes", options.text_bytes, "text of a message")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  app.add_option("--seconds", options.seconds, "how long")
      ->check(CLI::Range(0.1, 600.0))
      ->capture_default_str();
  app.add_option("--json", options.json_path, "also write the results to this file");
  CLI11_PARSE(app, argc, argv);
  return measure(options);
}

}  // namespace
}  // namespace parlance

int main(int argc, char** argv) {
  try {
    return parlance::run_program(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "parlance-store-bench: %s\n", error.what());
    return 1;
  }
}
