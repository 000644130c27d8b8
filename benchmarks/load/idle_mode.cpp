// parlance-load idle: what an attached session costs when nothing happens. Sockets are opened in
// steps; after each step the server's memory is read, and the slope of a line through the points is
// the price of one more session, free of what the process needs anyway. At one of the steps the
// server's processor time is measured while all is quiet.

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <vector>

#include <fmt/format.h>

#include "benchmarks/load/exchange.h"
#include "benchmarks/load/modes.h"
#include "benchmarks/load/regression.h"
#include "benchmarks/support/clock.h"

namespace parlance::benchmarks {
namespace {

constexpr int64_t kExchangeTimeoutNs = 600 * kNsPerSecond;

class IdleMode : private FleetObserver {
 public:
  explicit IdleMode(const IdleOptions& options)
      : options_(options), fleet_(loop_, *this, options.common.fleet) {
    if (options_.common.server_pid == 0) {
      throw std::invalid_argument("idle needs --server-pid: it measures that process");
    }
    if (options_.exchange_bytes > 0) {
      exchange_.emplace(loop_, fleet_, options_.exchange_bytes, options_.exchanges_max);
    }
  }

  int measure() {
    const ProcessMemory before = process_memory(options_.common.server_pid);
    std::optional<double> idle_cpu_percent;
    for (const size_t count : counts()) {
      grow_to(count);
      wait(options_.settle_s);
      take_point(count);
      if (options_.idle_s > 0 && count >= options_.idle_sockets && !idle_cpu_percent) {
        idle_cpu_percent = measure_idle_cpu();
        idle_count_ = count;
      }
    }
    return report(before, idle_cpu_percent);
  }

 private:
  /// The numbers of sockets at which is measured; `idle_sockets` is made one of them.
  std::vector<size_t> counts() const {
    std::vector<size_t> result;
    const size_t steps = std::max<size_t>(options_.steps, 2);
    for (size_t i = 0; i < steps; ++i) {
      result.push_back(options_.from + (options_.to - options_.from) * i / (steps - 1));
    }
    if (options_.idle_sockets > options_.from && options_.idle_sockets < options_.to) {
      result.push_back(options_.idle_sockets);
    }
    std::sort(result.begin(), result.end());
    result.erase(std::unique(result.begin(), result.end()), result.end());
    return result;
  }

  void grow_to(size_t count) {
    const size_t from = fleet_.size();
    fleet_.grow_to(count, seconds_to_ns(kOpenTimeoutSeconds));
    if (exchange_) exchange_->run(from, count, 1, kExchangeTimeoutNs);
    if (fleet_.lost_count() > 0) {
      throw std::runtime_error(fmt::format("the server closed {} connections; the last: {}",
                                           fleet_.lost_count(), fleet_.last_loss()));
    }
  }

  /// Lets time pass while pings of the server are still answered.
  void wait(double seconds) {
    loop_.run_until([] { return false; }, now_ns() + seconds_to_ns(seconds));
  }

  void take_point(size_t count) {
    const ProcessMemory memory = process_memory(options_.common.server_pid);
    counts_.push_back(static_cast<double>(count));
    private_.push_back(static_cast<double>(memory.private_pages));
    anonymous_.push_back(static_cast<double>(memory.anonymous));
    resident_.push_back(static_cast<double>(memory.resident));
    if (options_.common.quiet) return;
    fmt::print(stderr, "{:>6} sockets  private {:>9} KiB  resident {:>9} KiB\n", count,
               memory.private_pages >> 10, memory.resident >> 10);
  }

  double measure_idle_cpu() {
    CpuWindow window(options_.common.server_pid);
    window.begin();
    wait(options_.idle_s);
    window.end();
    return window.percent();
  }

  void on_message(WebsocketClient& client, std::string_view payload, int64_t) override {
    if (exchange_) exchange_->take(client, payload);
  }

  void on_lost(WebsocketClient&, std::string_view why) override {
    if (exchange_) exchange_->take_loss(why);
  }

  int report(const ProcessMemory& before, std::optional<double> idle_cpu_percent) {
    const Line private_line = fit_line(counts_, private_);
    const Line anonymous_line = fit_line(counts_, anonymous_);
    const Line resident_line = fit_line(counts_, resident_);
    Report report("idle");
    report.add("sockets_from", counts_.front());
    report.add("sockets_to", counts_.back());
    report.add("exchange_bytes", static_cast<double>(options_.exchange_bytes));
    report.add("private_bytes_per_session", private_line.slope);
    report.add("private_r_squared", private_line.r_squared);
    report.add("anonymous_bytes_per_session", anonymous_line.slope);
    report.add("resident_bytes_per_session", resident_line.slope);
    report.add("resident_r_squared", resident_line.r_squared);
    report.add("private_bytes_before", static_cast<double>(before.private_pages));
    for (size_t i = 0; i < counts_.size(); ++i) {
      report.add(fmt::format("private_bytes_at_{:.0f}", counts_[i]), private_[i]);
    }
    if (idle_cpu_percent) {
      report.add("idle_cpu_sockets", static_cast<double>(idle_count_));
      report.add("idle_cpu_percent", *idle_cpu_percent);
    }
    report.publish(options_.common.json_path);
    return kExitOk;
  }

  IdleOptions options_;
  EventLoop loop_;
  WebsocketFleet fleet_;
  std::optional<Exchange> exchange_;
  std::vector<double> counts_;
  std::vector<double> private_;
  std::vector<double> anonymous_;
  std::vector<double> resident_;
  size_t idle_count_ = 0;
};

}  // namespace

int measure_idle(const IdleOptions& options) {
  return IdleMode(options).measure();
}

}  // namespace parlance::benchmarks
