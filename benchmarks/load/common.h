#pragma once
// What all modes of parlance-load share: options, the line of progress, and the window in which is
// measured.

#include <cstdint>
#include <functional>
#include <string>

#include <sys/types.h>

#include "benchmarks/load/websocket_fleet.h"
#include "benchmarks/support/event_loop.h"
#include "benchmarks/support/histogram.h"
#include "benchmarks/support/process_stats.h"
#include "benchmarks/support/report.h"

namespace parlance::benchmarks {

struct CommonOptions {
  FleetOptions fleet;
  uint64_t seed = 1;
  /// Of the process whose processor time and memory are told; 0: of none.
  pid_t server_pid = 0;
  std::string json_path;
  bool quiet = false;
};

/// Exit codes of the program. An invalid run has measured the generator or the machine, not the
/// server.
inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitInvalid = 3;

/// What is waited for at most when connections open: never for ever.
inline constexpr double kOpenTimeoutSeconds = 120;

/// A line on stderr every second, for as long as it lives.
class Progress {
 public:
  Progress(EventLoop& loop, bool quiet, std::function<std::string()> line);

 private:
  std::function<std::string()> line_;
  int64_t started_ns_;
  int64_t next_ns_;
  Timer timer_;
};

/// The measured part of a run: processor time of both sides from begin() to end().
class MeasuredWindow {
 public:
  explicit MeasuredWindow(pid_t server_pid) : own_(0), server_(server_pid), pid_(server_pid) {}

  void begin();
  void end();

  bool contains(int64_t when_ns) const { return when_ns >= begin_ns_ && when_ns < end_ns_; }
  /// Between begin() and end().
  bool is_open() const { return open_; }
  /// The times between which a scheduled event counts; set before the run.
  void schedule(int64_t begin_ns, int64_t end_ns);

  double seconds() const { return own_.wall_seconds(); }
  bool has_server() const { return pid_ != 0; }
  double server_cpu_seconds() const { return server_.cpu_seconds(); }

  /// Adds both processor shares.
  void report(Report& report) const;
  /// For open loops: invalidates the run when the generator used over 80 % of its core.
  void check_generator(Report& report) const;

 private:
  CpuWindow own_;
  CpuWindow server_;
  pid_t pid_;
  bool open_ = false;
  int64_t begin_ns_ = 0;
  int64_t end_ns_ = 0;
};

/// Runs `loop` for the warm-up and then for the measured time, with a line of progress.
void run_closed_loop(EventLoop& loop, MeasuredWindow& window, double warmup_s, double duration_s,
                     bool quiet, std::function<std::string()> progress_line);

/// How late the generator itself was; over 1 ms at p99 invalidates the run.
void report_lag(Report& report, const Histogram& lag);

/// Ids that no earlier run on the same data has used: message ids seen before would not be run
/// again.
std::string fresh_prefix(std::string_view word);

/// Exponentially distributed waits: the gaps of a Poisson process. Deterministic by seed.
class PoissonSchedule {
 public:
  /// `rate` is events per second, over 0.
  PoissonSchedule(double rate, uint64_t seed, int64_t start_ns);

  int64_t next_ns() const { return next_ns_; }
  void advance();

 private:
  double mean_gap_ns_;
  uint64_t state_;
  int64_t next_ns_;
};

}  // namespace parlance::benchmarks
