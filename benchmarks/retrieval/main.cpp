// Documents' passages as the server keeps them in memory: what cutting and embedding them costs,
// how long a search takes with many sessions' indexes in memory, how building grows with the size
// of one session, and how much of the exact answer the graph finds. No disk, no network, no model:
// all of it on one thread.

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <numeric>
#include <stdexcept>
#include <string>
#include <unordered_set>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include "benchmarks/support/clock.h"
#include "benchmarks/support/corpus.h"
#include "benchmarks/support/histogram.h"
#include "benchmarks/support/process_stats.h"
#include "benchmarks/support/report.h"
#include "rag/chunker.h"
#include "rag/hashing_embedder.h"
#include "rag/passage_index.h"
#include "rag/terms.h"

namespace parlance {
namespace {

namespace bench = benchmarks;

struct BenchOptions {
  std::size_t sessions = 100;
  std::size_t passages = 1'000;
  std::size_t words = 700;
  std::size_t searches = 5'000;
  std::vector<std::size_t> recall_passages{1'000, 20'000};
  std::vector<std::size_t> build_passages{1'000, 4'000, 16'000, 50'000};
  std::string json_path;
};

/// What an index takes of a passage.
struct Prepared {
  std::vector<float> vector;
  std::string terms;
};

void must(const Status& status) {
  if (!status) throw std::runtime_error(status.error().detail);
}

std::vector<rag::Hit> must_search(const rag::PassageIndex& index, std::string_view question,
                                  std::span<const float> vector, std::size_t count) {
  auto hits = index.search(question, vector, count);
  if (!hits) throw std::runtime_error(hits.error().detail);
  return *std::move(hits);
}

std::vector<Prepared> prepare(bench::Corpus& corpus, std::size_t count, std::size_t words) {
  std::vector<Prepared> prepared;
  prepared.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::string text = corpus.passage(words);
    prepared.push_back({rag::embed_by_hashing(text), rag::terms_of(text)});
  }
  return prepared;
}

rag::PassageIndex build(const std::vector<Prepared>& prepared, std::size_t first, std::size_t count,
                        const rag::Options& options) {
  rag::PassageIndex index(rag::kHashedDimensions, options);
  for (std::size_t i = 0; i < count; ++i) {
    const Prepared& passage = prepared[(first + i) % prepared.size()];
    must(index.add(i, passage.vector, passage.terms));
  }
  return index;
}

/// Runs `work` and returns how many MB of `bytes` it does in a second.
template <class Work>
double rate_mb(std::size_t bytes, Work&& work) {
  const std::int64_t before = bench::own_cpu_ns();
  work();
  const auto took = static_cast<double>(bench::own_cpu_ns() - before);
  return static_cast<double>(bytes) * 1e3 / took;
}

/// Beside copying and beside splitting at blanks, which is the least that reading words costs.
void measure_preparing(bench::Report& report, bench::Corpus& corpus) {
  constexpr std::size_t kWords = 700'000;
  const std::string text = corpus.passage(kWords);
  std::string copy(text.size(), ' ');
  report.add("copy_mb_per_second",
             rate_mb(text.size(), [&] { std::memcpy(copy.data(), text.data(), text.size()); }));
  std::unordered_set<std::string_view> words;
  report.add("split_mb_per_second", rate_mb(text.size(), [&] {
               for (std::size_t at = 0; at < copy.size();) {
                 const std::size_t end = std::min(copy.find(' ', at), copy.size());
                 words.insert(std::string_view(copy).substr(at, end - at));
                 at = end + 1;
               }
             }));
  std::vector<rag::Span> passages;
  report.add("chunker_mb_per_second",
             rate_mb(text.size(), [&] { passages = rag::cut_into_passages(text, {}); }));
  std::size_t bytes = 0;
  for (const rag::Span span : passages) bytes += span.end - span.begin;
  const auto over_passages = [&](auto&& work) {
    return rate_mb(bytes, [&] {
      for (const rag::Span s : passages)
        work(std::string_view(text).substr(s.begin, s.end - s.begin));
    });
  };
  std::size_t sink = 0;
  report.add("terms_mb_per_second", over_passages([&](std::string_view passage) {
               sink += rag::terms_of(passage).size();
             }));
  report.add("embedder_mb_per_second", over_passages([&](std::string_view passage) {
               sink += rag::embed_by_hashing(passage).size();
             }));
  report.add("passage_bytes", static_cast<double>(bytes) / static_cast<double>(passages.size()));
  if (sink == 0 || words.empty()) report.invalidate("nothing was prepared");
}

/// Searches of which each embeds its question, too.
class Searches {
 public:
  void run(const rag::PassageIndex& index, const std::string& question) {
    const std::int64_t cpu_before = bench::own_cpu_ns();
    const std::int64_t before = bench::now_ns();
    const auto hits = must_search(index, question, rag::embed_by_hashing(question), 10);
    clock_.record(bench::now_ns() - before);
    processor_.record(bench::own_cpu_ns() - cpu_before);
    if (hits.empty()) ++empty_;
  }

  void report(const std::string& name, bench::Report& report) {
    report.add_latency(name, clock_);
    report.add_latency(name + "_processor", processor_);
    if (empty_ > 0) report.invalidate(fmt::format("{} of {} found nothing", empty_, name));
  }

 private:
  bench::Histogram clock_;
  bench::Histogram processor_;
  std::size_t empty_ = 0;
};

/// Many sessions in memory; each search is of another one, so that caches do not help.
void measure_search(bench::Report& report, const BenchOptions& options,
                    const std::vector<Prepared>& prepared, bench::Corpus& corpus) {
  const std::uint64_t before = bench::process_memory(getpid()).anonymous;
  std::vector<rag::PassageIndex> sessions;
  std::size_t counted = 0;
  for (std::size_t i = 0; i < options.sessions; ++i) {
    sessions.push_back(build(prepared, i * 101, options.passages, {}));
    counted += sessions.back().bytes();
  }
  const auto all = static_cast<double>(options.sessions * options.passages);
  report.add("search_sessions", static_cast<double>(options.sessions));
  report.add("search_passages_per_session", static_cast<double>(options.passages));
  report.add("index_bytes_per_passage_counted", static_cast<double>(counted) / all);
  report.add("index_bytes_per_passage_resident",
             static_cast<double>(bench::process_memory(getpid()).anonymous - before) / all);

  Searches searches;
  for (std::size_t i = 0; i < options.searches; ++i) {
    searches.run(sessions[i * 37 % sessions.size()], corpus.question());
  }
  searches.report("search", report);
}

void measure_building(bench::Report& report, const BenchOptions& options,
                      const std::vector<Prepared>& prepared, bench::Corpus& corpus) {
  for (const std::size_t count : options.build_passages) {
    const std::int64_t begin = bench::own_cpu_ns();
    const rag::PassageIndex index = build(prepared, 0, count, {});
    const auto took_us = static_cast<double>(bench::own_cpu_ns() - begin) / 1e3;
    report.add(fmt::format("build_us_per_passage_at_{}", count),
               took_us / static_cast<double>(count));
    report.add(fmt::format("bytes_per_passage_at_{}", count),
               static_cast<double>(index.bytes()) / static_cast<double>(count));
    Searches searches;
    for (std::size_t i = 0; i < options.searches / 10; ++i) searches.run(index, corpus.question());
    searches.report(fmt::format("search_of_{}", count), report);
  }
}

/// The distance of the tenth nearest passage, by looking at every one of them.
float tenth_distance(const std::vector<Prepared>& prepared, std::size_t count,
                     const std::vector<float>& question) {
  std::vector<float> distances(count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::vector<float>& vector = prepared[i].vector;
    distances[i] = 1 - std::inner_product(vector.begin(), vector.end(), question.begin(), 0.0F);
  }
  const auto tenth = distances.begin() + 9;
  std::nth_element(distances.begin(), tenth, distances.end());
  return *tenth;
}

/// The share of the ten nearest passages that `index` finds. Asked without words, so that only the
/// vectors answer. One as near as the tenth nearest is as good as it.
double recall_of(const rag::PassageIndex& index, const std::vector<Prepared>& prepared,
                 std::size_t count, bench::Corpus& corpus) {
  constexpr std::size_t kQuestions = 500;
  constexpr float kRounding = 1e-5F;
  std::size_t found = 0;
  for (std::size_t i = 0; i < kQuestions; ++i) {
    const std::vector<float> vector = rag::embed_by_hashing(corpus.question());
    const float tenth = tenth_distance(prepared, count, vector);
    for (const rag::Hit& hit : must_search(index, "", vector, 10)) {
      if (hit.distance <= tenth + kRounding) ++found;
    }
  }
  return static_cast<double>(found) / (10.0 * kQuestions);
}

/// Beside an exact search that shares nothing with the index: with the server's own options, which
/// search small sessions exactly, and with all of the session in the graph.
void measure_recall(bench::Report& report, const BenchOptions& options,
                    const std::vector<Prepared>& prepared, bench::Corpus& corpus) {
  rag::Options graph_options;
  graph_options.exact_vector_bytes_max = 0;
  for (const std::size_t count : options.recall_passages) {
    const rag::PassageIndex graph = build(prepared, 0, count, graph_options);
    const double by_graph = recall_of(graph, prepared, count, corpus);
    report.add(fmt::format("graph_recall_of_10_in_{}", count), by_graph);
    const bool served_exactly =
        count * rag::kHashedDimensions * sizeof(float) <= rag::Options{}.exact_vector_bytes_max;
    report.add(fmt::format("recall_of_10_in_{}", count),
               served_exactly ? recall_of(build(prepared, 0, count, {}), prepared, count, corpus)
                              : by_graph);
  }
}

int measure(const BenchOptions& options) {
  bench::Report report("retrieval");
  bench::Corpus corpus(1);
  measure_preparing(report, corpus);
  std::size_t count = options.passages;
  for (const auto* sizes : {&options.recall_passages, &options.build_passages}) {
    for (const std::size_t one : *sizes) count = std::max(count, one);
  }
  const std::vector<Prepared> prepared = prepare(corpus, count, options.words);
  measure_search(report, options, prepared, corpus);
  measure_building(report, options, prepared, corpus);
  measure_recall(report, options, prepared, corpus);
  report.publish(options.json_path);
  return report.is_valid() ? 0 : 1;
}

int run_program(int argc, char** argv) {
  CLI::App app("How fast documents' passages are prepared, indexed and found, and how well.");
  BenchOptions options;
  app.add_option("--sessions", options.sessions, "sessions whose indexes are in memory")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  app.add_option("--passages", options.passages, "passages of each of them")
      ->check(CLI::Range(10, 100'000))
      ->capture_default_str();
  app.add_option("--words", options.words, "words of a passage")
      ->check(CLI::Range(10, 2'000))
      ->capture_default_str();
  app.add_option("--searches", options.searches, "searches over the sessions")
      ->check(CLI::Range(10, 1'000'000))
      ->capture_default_str();
  app.add_option("--recall-passages", options.recall_passages,
                 "passages of single sessions whose finds are compared with an exact search")
      ->check(CLI::Range(100, 100'000))
      ->capture_default_str();
  app.add_option("--build", options.build_passages, "passages of single sessions that are built")
      ->check(CLI::Range(100, 200'000))
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
    std::fprintf(stderr, "parlance-bench-retrieval: %s\n", error.what());
    return 1;
  }
}
