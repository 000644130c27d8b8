// parlance-load direct: the model call alone, straight to the upstream or through a proxy. Paired
// with `run` on the same upstream it says what the server adds. With a rate it is an open loop like
// `run`; with rate 0 it keeps some streams running all the time and so finds the upstream's own
// ceiling.

#include <algorithm>
#include <memory>
#include <vector>

#include <fmt/format.h>

#include "benchmarks/load/chat_frames.h"
#include "benchmarks/load/modes.h"
#include "benchmarks/load/stream_client.h"
#include "benchmarks/load/token_times.h"
#include "benchmarks/support/clock.h"

namespace parlance::benchmarks {
namespace {

constexpr size_t kConnectionsMax = 10'000;

class DirectMode : public StreamObserver {
 public:
  explicit DirectMode(const DirectOptions& options)
      : options_(options), url_(parse_url(options.url)), window_(options.common.server_pid) {
    if (url_.path.empty() || url_.path == "/") url_.path = "/v1/chat/completions";
    request_ = stream_request(url_, options.model, message_text("", options.message_bytes),
                              options.common.fleet.api_key);
  }

  int measure() {
    const int64_t start_ns = now_ns();
    const int64_t begin_ns = start_ns + seconds_to_ns(options_.warmup_s);
    end_ns_ = begin_ns + seconds_to_ns(options_.duration_s);
    window_.schedule(begin_ns, end_ns_);
    const bool is_open_loop = options_.rate > 0;
    PoissonSchedule schedule(is_open_loop ? options_.rate : 1, options_.common.seed, start_ns);
    Timer arrivals(loop_, [&] {
      while (schedule.next_ns() <= now_ns() && schedule.next_ns() < end_ns_) {
        send_request(schedule.next_ns());
        schedule.advance();
      }
      if (schedule.next_ns() < end_ns_) arrivals.set(schedule.next_ns());
    });
    if (is_open_loop) {
      arrivals.set(schedule.next_ns());
    } else {
      for (size_t i = 0; i < options_.concurrency; ++i) send_request(now_ns());
    }
    {
      const Progress progress(loop_, options_.common.quiet, [this] { return progress_line(); });
      loop_.run_until([] { return false; }, begin_ns);
      window_.begin();
      loop_.run_until([] { return false; }, end_ns_);
      window_.end();
      const int64_t drain_ns = is_open_loop ? seconds_to_ns(options_.drain_s) : 0;
      loop_.run_until([this] { return under_way_ == 0; }, now_ns() + drain_ns);
    }
    return report(is_open_loop);
  }

 private:
  void send_request(int64_t intended_ns) {
    if (free_.empty()) {
      if (clients_.size() >= kConnectionsMax) {
        ++errors_;
        last_error_ = "no connection was free";
        return;
      }
      free_.push_back(clients_.size());
      clients_.push_back(
          std::make_unique<StreamClient>(loop_, *this, url_.address, clients_.size()));
      requests_.emplace_back();
    }
    const size_t index = free_.back();
    free_.pop_back();
    ++under_way_;
    requests_[index] = {.intended_ns = intended_ns, .measured = window_.contains(intended_ns)};
    clients_[index]->send(request_);
    if (requests_[index].measured) lag_.record(now_ns() - intended_ns);
  }

  void on_delta(StreamClient& client, std::string_view text, int64_t received_ns) override {
    const uint64_t tokens = times_.add(requests_[client.index()], text, received_ns);
    tokens_ += tokens;
    if (window_.is_open()) tokens_in_window_ += tokens;
  }

  void on_end(StreamClient& client, std::string_view error, int64_t received_ns) override {
    const AnswerTimes& request = requests_[client.index()];
    --under_way_;
    if (!error.empty()) {
      ++errors_;
      last_error_ = error;
    } else {
      ++ended_;
      if (window_.is_open()) ++ended_in_window_;
      if (request.measured) end_.record(received_ns - request.intended_ns);
    }
    if (!client.is_closed()) free_.push_back(client.index());
    if (options_.rate <= 0 && error.empty() && received_ns < end_ns_) send_request(received_ns);
  }

  std::string progress_line() {
    std::string line =
        fmt::format("{} requests/s, {} tokens/s, {} under way, {} errors", ended_ - ended_before_,
                    tokens_ - tokens_before_, under_way_, errors_);
    ended_before_ = ended_;
    tokens_before_ = tokens_;
    return line;
  }

  int report(bool is_open_loop) {
    Report report("direct");
    const double seconds = window_.seconds();
    report.add("offered_requests_per_second", options_.rate);
    report.add("requests_per_second", static_cast<double>(ended_in_window_) / seconds);
    report.add("tokens_per_second", static_cast<double>(tokens_in_window_) / seconds);
    report.add("errors", static_cast<double>(errors_));
    report.add("connections", static_cast<double>(clients_.size()));
    window_.report(report);
    if (is_open_loop) {
      window_.check_generator(report);
      report_lag(report, lag_);
    }
    report.add_latency("end", end_);
    times_.report(report);
    if (errors_ > 0) fmt::print(stderr, "last error: {}\n", last_error_);
    if (ended_ == 0 && tokens_ == 0) report.invalidate("nothing was answered");
    report.publish(options_.common.json_path);
    return report.is_valid() ? kExitOk : kExitInvalid;
  }

  DirectOptions options_;
  Url url_;
  EventLoop loop_;
  MeasuredWindow window_;
  std::string request_;
  int64_t end_ns_ = 0;
  std::vector<std::unique_ptr<StreamClient>> clients_;
  std::vector<AnswerTimes> requests_;
  std::vector<size_t> free_;
  size_t under_way_ = 0;
  uint64_t ended_ = 0;
  uint64_t ended_before_ = 0;
  uint64_t ended_in_window_ = 0;
  uint64_t tokens_ = 0;
  uint64_t tokens_before_ = 0;
  uint64_t tokens_in_window_ = 0;
  uint64_t errors_ = 0;
  std::string last_error_;
  Histogram lag_, end_;
  TokenTimes times_;
};

}  // namespace

int measure_direct(const DirectOptions& options) {
  return DirectMode(options).measure();
}

}  // namespace parlance::benchmarks
