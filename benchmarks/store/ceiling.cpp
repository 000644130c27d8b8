// parlance-store-ceiling: what this machine's disk and RocksDB could do at best, measured in the
// same run as what is compared with it. In turns, several rounds:
//   (a) fdatasync of a 4 KiB append: the price of making anything durable
//   (b) RocksDB, one writer, sync=true: records of 512 B in batches of 1, 64 and 256
// Medians of the rounds are told, with the least and the most.

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <map>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include <CLI/CLI.hpp>
#include <fcntl.h>
#include <fmt/format.h>
#include <rocksdb/db.h>
#include <rocksdb/options.h>
#include <rocksdb/write_batch.h>
#include <unistd.h>

#include "benchmarks/support/clock.h"
#include "benchmarks/support/fd.h"
#include "benchmarks/support/histogram.h"
#include "benchmarks/support/report.h"
#include "benchmarks/support/scratch_directory.h"

namespace {

namespace bench = parlance::benchmarks;
namespace fs = std::filesystem;

constexpr size_t kAppendBytes = 4'096;

struct CeilingOptions {
  std::string dir;
  std::vector<size_t> batches{1, 64, 256};
  size_t value_bytes = 512;
  size_t rounds = 5;
  double seconds = 2;
  std::string json_path;
};

/// The latencies of one round and how many records it made durable per second.
struct Round {
  bench::Histogram latency;
  double records_per_second = 0;
};

template <class Write>
Round repeat(double seconds, size_t records_per_write, Write write) {
  Round round;
  const int64_t begin_ns = bench::now_ns();
  const int64_t end_ns = begin_ns + bench::seconds_to_ns(seconds);
  uint64_t writes = 0;
  int64_t last_ns = begin_ns;
  while (last_ns < end_ns) {
    write();
    const int64_t now = bench::now_ns();
    round.latency.record(now - last_ns);
    last_ns = now;
    ++writes;
  }
  const double elapsed_s = static_cast<double>(last_ns - begin_ns) / 1e9;
  round.records_per_second = static_cast<double>(writes * records_per_write) / elapsed_s;
  return round;
}

Round measure_fdatasync(const CeilingOptions& options, const fs::path& path) {
  const bench::Fd file(::open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600));
  if (!file)
    throw std::system_error(errno, std::generic_category(), "cannot open " + path.string());
  const std::string block(kAppendBytes, 'x');
  Round round = repeat(options.seconds, 1, [&] {
    if (::write(file.get(), block.data(), block.size()) != static_cast<ssize_t>(block.size()) ||
        ::fdatasync(file.get()) != 0) {
      throw std::system_error(errno, std::generic_category(), "cannot append to " + path.string());
    }
  });
  fs::remove(path);
  return round;
}

void require(const rocksdb::Status& status, const char* what) {
  if (!status.ok()) throw std::runtime_error(fmt::format("{}: {}", what, status.ToString()));
}

/// Text that compresses no better than what people write is not needed: RocksDB's compression is
/// off.
std::vector<std::string> make_values(size_t bytes) {
  constexpr size_t kValues = 64;
  std::mt19937_64 random(1);
  std::vector<std::string> values(kValues, std::string(bytes, '\0'));
  for (auto& value : values) {
    for (char& c : value) c = static_cast<char>('a' + random() % 26);
  }
  return values;
}

/// Sixteen bytes, big endian: a session and the number of its event. Consecutive records are of
/// different sessions.
void append_key(std::string& key, uint64_t record) {
  constexpr uint64_t kSessions = 1'024;
  key.clear();
  for (const uint64_t part : {record % kSessions, record / kSessions}) {
    for (int shift = 56; shift >= 0; shift -= 8) key += static_cast<char>(part >> shift & 0xFF);
  }
}

Round measure_batches(const CeilingOptions& options, size_t batch_records, const fs::path& path) {
  rocksdb::Options db_options;
  db_options.create_if_missing = true;
  db_options.compression = rocksdb::kNoCompression;
  rocksdb::DB* opened = nullptr;
  require(rocksdb::DB::Open(db_options, path.string(), &opened), "cannot open RocksDB");
  std::unique_ptr<rocksdb::DB> db(opened);
  rocksdb::WriteOptions write_options;
  write_options.sync = true;
  const auto values = make_values(options.value_bytes);
  rocksdb::WriteBatch batch;
  std::string key;
  uint64_t record = 0;
  Round round = repeat(options.seconds, batch_records, [&] {
    batch.Clear();
    for (size_t i = 0; i < batch_records; ++i, ++record) {
      append_key(key, record);
      require(batch.Put(key, values[record % values.size()]), "cannot fill a batch");
    }
    require(db->Write(write_options, &batch), "cannot write a batch");
  });
  require(db->Close(), "cannot close RocksDB");
  db.reset();
  require(rocksdb::DestroyDB(path.string(), db_options), "cannot remove the database");
  return round;
}

/// All rounds of one thing.
struct Series {
  std::vector<double> p50_us;
  std::vector<double> records_per_second;
  bench::Histogram latency;

  void add(const Round& round) {
    p50_us.push_back(static_cast<double>(round.latency.percentile(50)) / 1e3);
    records_per_second.push_back(round.records_per_second);
    latency.merge(round.latency);
  }
};

void add_spread(bench::Report& report, const std::string& name, std::vector<double> values) {
  std::sort(values.begin(), values.end());
  report.add(name, (values[(values.size() - 1) / 2] + values[values.size() / 2]) / 2);
  report.add(name + "_min", values.front());
  report.add(name + "_max", values.back());
}

int measure(const CeilingOptions& options) {
  const bench::ScratchDirectory scratch(options.dir);
  Series fdatasync_series;
  std::map<size_t, Series> batch_series;
  for (size_t round = 0; round < options.rounds; ++round) {
    fdatasync_series.add(measure_fdatasync(options, scratch / "append"));
    for (const size_t batch : options.batches) {
      batch_series[batch].add(measure_batches(options, batch, scratch / "rocksdb"));
    }
    fmt::print(stderr, "round {} of {}\n", round + 1, options.rounds);
  }
  bench::Report report("store-ceiling");
  report.add("rounds", static_cast<double>(options.rounds));
  report.add("value_bytes", static_cast<double>(options.value_bytes));
  add_spread(report, "fdatasync_4k_p50_us", fdatasync_series.p50_us);
  report.add_latency("fdatasync 4 KiB append", fdatasync_series.latency);
  for (const auto& [batch, series] : batch_series) {
    add_spread(report, fmt::format("rocksdb_batch_{}_records_per_second", batch),
               series.records_per_second);
    report.add_latency(fmt::format("rocksdb batch of {}", batch), series.latency);
  }
  report.publish(options.json_path);
  return 0;
}

int run_program(int argc, char** argv) {
  CLI::App app("The disk's and RocksDB's own ceiling for durable writes.");
  CeilingOptions options;
  app.add_option("--dir", options.dir, "where to write; on the disk that is to be measured")
      ->required()
      ->check(CLI::ExistingDirectory);
  app.add_option("--batches", options.batches, "records per batch")
      ->delimiter(',')
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  app.add_option("--value-bytes", options.value_bytes, "bytes of a record's value")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  app.add_option("--rounds", options.rounds, "rounds, taken in turns")
      ->check(CLI::Range(1, 1'000))
      ->capture_default_str();
  app.add_option("--seconds", options.seconds, "length of each part of a round")
      ->check(CLI::Range(0.1, 600.0))
      ->capture_default_str();
  app.add_option("--json", options.json_path, "also write the results to this file");
  CLI11_PARSE(app, argc, argv);
  return measure(options);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run_program(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "parlance-store-ceiling: %s\n", error.what());
    return 1;
  }
}
