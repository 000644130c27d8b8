// parlance-load kiss: POST /queries of the KISS stack. With a rate it is an open loop like `run`:
// questions at the times of a Poisson process, latency from the intended time, also where a
// question has to wait for the one before it in its session. With rate 0 each session asks again as
// soon as it is answered.

#include <algorithm>
#include <deque>
#include <numeric>
#include <random>
#include <stdexcept>
#include <vector>

#include <fmt/format.h>

#include "benchmarks/load/chat_frames.h"
#include "benchmarks/load/kiss_fleet.h"
#include "benchmarks/load/modes.h"
#include "benchmarks/support/clock.h"

namespace parlance::benchmarks {
namespace {

class KissMode : private KissObserver {
 public:
  explicit KissMode(const KissOptions& options)
      : options_(options),
        fleet_(loop_, *this, parse_url(options.url).address),
        window_(options.common.server_pid),
        text_(message_text("", options.message_bytes)),
        waiting_(options.sessions),
        turn_order_(options.sessions) {
    // Sessions take turns in a random order, so that one is asked again only after all others.
    std::iota(turn_order_.begin(), turn_order_.end(), size_t{0});
    std::shuffle(turn_order_.begin(), turn_order_.end(), std::mt19937_64(options.common.seed));
  }

  int measure() {
    fleet_.open(options_.sessions, seconds_to_ns(kOpenTimeoutSeconds));
    const int64_t start_ns = now_ns();
    const int64_t begin_ns = start_ns + seconds_to_ns(options_.warmup_s);
    end_ns_ = begin_ns + seconds_to_ns(options_.duration_s);
    window_.schedule(begin_ns, end_ns_);
    PoissonSchedule schedule(is_open_loop() ? options_.rate : 1, options_.common.seed, start_ns);
    Timer arrivals(loop_, [&] {
      while (schedule.next_ns() <= now_ns() && schedule.next_ns() < end_ns_) {
        arrive(turn_order_[turn_++ % turn_order_.size()], schedule.next_ns());
        schedule.advance();
      }
      if (schedule.next_ns() < end_ns_) arrivals.set(schedule.next_ns());
    });
    if (is_open_loop()) {
      arrivals.set(schedule.next_ns());
    } else {
      for (const size_t session : turn_order_) arrive(session, now_ns());
    }
    {
      const Progress progress(loop_, options_.common.quiet, [this] { return progress_line(); });
      loop_.run_until([] { return false; }, begin_ns);
      window_.begin();
      loop_.run_until([] { return false; }, end_ns_);
      window_.end();
      loop_.run_until([this] { return under_way_ == 0; },
                      now_ns() + seconds_to_ns(options_.drain_s));
    }
    return report();
  }

 private:
  bool is_open_loop() const { return options_.rate > 0; }

  void arrive(size_t session, int64_t intended_ns) {
    if (fleet_.is_closed(session)) {
      ++lost_;
      return;
    }
    if (window_.contains(intended_ns)) lag_.record(now_ns() - intended_ns);
    ++under_way_;
    waiting_[session].push_back(intended_ns);
    if (waiting_[session].size() == 1) {
      fleet_.ask(session, text_);
    } else {
      ++overlapped_;
    }
  }

  void on_answer(size_t session, int status, std::string_view body, int64_t received_ns) override {
    std::deque<int64_t>& waiting = waiting_[session];
    if (waiting.empty()) return;
    const int64_t intended_ns = waiting.front();
    waiting.pop_front();
    --under_way_;
    if (status != 200) {
      ++errors_;
      last_error_ = fmt::format("{} {}", status, body.substr(0, 300));
    } else {
      ++answered_;
      if (window_.is_open()) ++answered_in_window_;
      if (window_.contains(intended_ns)) answer_.record(received_ns - intended_ns);
    }
    if (!waiting.empty()) {
      fleet_.ask(session, text_);
    } else if (!is_open_loop() && status == 200 && received_ns < end_ns_) {
      arrive(session, received_ns);
    }
  }

  void on_lost(size_t session, std::string_view why) override {
    lost_ += waiting_[session].size();
    under_way_ -= waiting_[session].size();
    waiting_[session].clear();
    last_error_ = why;
  }

  std::string progress_line() {
    std::string line = fmt::format("{} answers/s, {} under way, {} errors",
                                   answered_ - answered_before_, under_way_, errors_ + lost_);
    answered_before_ = answered_;
    return line;
  }

  int report() {
    Report report("kiss");
    report.add("sessions", static_cast<double>(options_.sessions));
    report.add("offered_queries_per_second", options_.rate);
    report.add("queries_per_second", static_cast<double>(answered_in_window_) / window_.seconds());
    report.add("errors", static_cast<double>(errors_));
    report.add("lost", static_cast<double>(lost_));
    report.add("unanswered", static_cast<double>(under_way_));
    report.add("sent_to_busy_sessions", static_cast<double>(overlapped_));
    window_.report(report);
    if (is_open_loop()) {
      window_.check_generator(report);
      report_lag(report, lag_);
    }
    report.add_latency("answer", answer_);
    if (errors_ + lost_ > 0) fmt::print(stderr, "last error: {}\n", last_error_);
    if (answer_.count() == 0) report.invalidate("nothing was answered");
    report.publish(options_.common.json_path);
    return report.is_valid() ? kExitOk : kExitInvalid;
  }

  KissOptions options_;
  EventLoop loop_;
  KissFleet fleet_;
  MeasuredWindow window_;
  std::string text_;
  std::vector<std::deque<int64_t>> waiting_;  // Of each session: first the one that is being asked.
  std::vector<size_t> turn_order_;
  size_t turn_ = 0;
  int64_t end_ns_ = 0;
  size_t under_way_ = 0;
  uint64_t answered_ = 0;
  uint64_t answered_before_ = 0;
  uint64_t answered_in_window_ = 0;
  uint64_t overlapped_ = 0;
  uint64_t errors_ = 0;
  uint64_t lost_ = 0;
  std::string last_error_;
  Histogram lag_, answer_;
};

}  // namespace

int measure_kiss(const KissOptions& options) {
  return KissMode(options).measure();
}

}  // namespace parlance::benchmarks
