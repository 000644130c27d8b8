#include "benchmarks/load/common.h"

#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "benchmarks/support/clock.h"

namespace parlance::benchmarks {
namespace {

constexpr double kGeneratorCpuPercentMax = 80;
constexpr int64_t kLagNsMax = kNsPerMs;

}  // namespace

Progress::Progress(EventLoop& loop, bool quiet, std::function<std::string()> line)
    : line_(std::move(line)),
      started_ns_(now_ns()),
      next_ns_(started_ns_ + kNsPerSecond),
      timer_(loop, [this] {
        const double elapsed = static_cast<double>(now_ns() - started_ns_) / 1e9;
        fmt::print(stderr, "{:6.1f} s  {}\n", elapsed, line_());
        next_ns_ += kNsPerSecond;
        timer_.set(next_ns_);
      }) {
  if (!quiet) timer_.set(next_ns_);
}

void MeasuredWindow::schedule(int64_t begin_ns, int64_t end_ns) {
  begin_ns_ = begin_ns;
  end_ns_ = end_ns;
}

void MeasuredWindow::begin() {
  own_.begin();
  if (has_server()) server_.begin();
  open_ = true;
}

void MeasuredWindow::end() {
  open_ = false;
  own_.end();
  if (has_server()) server_.end();
}

void MeasuredWindow::report(Report& report) const {
  report.add("measured_seconds", own_.wall_seconds());
  report.add("generator_cpu_percent", own_.percent());
  if (has_server()) report.add("server_cpu_percent", server_.percent());
}

void MeasuredWindow::check_generator(Report& report) const {
  if (own_.percent() > kGeneratorCpuPercentMax) {
    report.invalidate(fmt::format("the generator used {:.0f} % of a core, over {:.0f} %",
                                  own_.percent(), kGeneratorCpuPercentMax));
  }
}

void run_closed_loop(EventLoop& loop, MeasuredWindow& window, double warmup_s, double duration_s,
                     bool quiet, std::function<std::string()> progress_line) {
  const int64_t begin_ns = now_ns() + seconds_to_ns(warmup_s);
  const Progress progress(loop, quiet, std::move(progress_line));
  loop.run_until([] { return false; }, begin_ns);
  window.begin();
  loop.run_until([] { return false; }, begin_ns + seconds_to_ns(duration_s));
  window.end();
}

void report_lag(Report& report, const Histogram& lag) {
  report.add_latency("generator lag", lag);
  if (lag.percentile(99) > kLagNsMax) {
    report.invalidate(fmt::format("the generator was {:.2f} ms late at p99, over 1 ms",
                                  static_cast<double>(lag.percentile(99)) / kNsPerMs));
  }
}

std::string fresh_prefix(std::string_view word) {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return fmt::format("{}{:x}", word, now.tv_sec * kNsPerSecond + now.tv_nsec);
}

PoissonSchedule::PoissonSchedule(double rate, uint64_t seed, int64_t start_ns)
    : mean_gap_ns_(1e9 / rate), state_(seed * 0x9E3779B97F4A7C15ull + 1), next_ns_(start_ns) {
  advance();
}

void PoissonSchedule::advance() {
  // xorshift64*: never 0, so the logarithm is finite.
  state_ ^= state_ >> 12;
  state_ ^= state_ << 25;
  state_ ^= state_ >> 27;
  const uint64_t draw = (state_ * 0x2545F4914F6CDD1Dull) >> 11;
  const double unit = (static_cast<double>(draw) + 1) / 9007199254740993.0;
  next_ns_ += static_cast<int64_t>(-std::log(unit) * mean_gap_ns_);
}

}  // namespace parlance::benchmarks
