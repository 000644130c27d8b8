// parlance-load run: an open loop of chat messages. Messages are sent at the times of a Poisson
// process that never waits for answers, and each latency counts from the time at which its message
// should have been sent, so that a server which stalls is charged for everything that would have
// been sent meanwhile.

#include <algorithm>
#include <charconv>
#include <numeric>
#include <random>
#include <vector>

#include <fmt/format.h>

#include "benchmarks/load/chat_frames.h"
#include "benchmarks/load/modes.h"
#include "benchmarks/load/token_times.h"
#include "benchmarks/support/clock.h"

namespace parlance::benchmarks {
namespace {

/// A message on its way. `number` is the end of its id.
struct PendingMessage {
  uint64_t number = 0;
  bool has_step = false;
  AnswerTimes times;
};

uint64_t number_in(std::string_view message_id) {
  uint64_t number = UINT64_MAX;
  const size_t dash = message_id.rfind('-');
  if (dash != std::string_view::npos) {
    std::from_chars(message_id.data() + dash + 1, message_id.data() + message_id.size(), number);
  }
  return number;
}

class RunMode : private FleetObserver {
 public:
  explicit RunMode(const RunOptions& options)
      : options_(options),
        fleet_(loop_, *this, options.common.fleet),
        window_(options.common.server_pid),
        nonce_(fresh_prefix("m")),
        text_(message_text(options.text, options.message_bytes)) {}

  int measure() {
    open_sessions();
    const int64_t start_ns = now_ns();
    const int64_t begin_ns = start_ns + seconds_to_ns(options_.warmup_s);
    const int64_t end_ns = begin_ns + seconds_to_ns(options_.duration_s);
    window_.schedule(begin_ns, end_ns);
    PoissonSchedule schedule(options_.rate, options_.common.seed, start_ns);
    Timer arrivals(loop_, [&] {
      while (schedule.next_ns() <= now_ns() && schedule.next_ns() < end_ns) {
        send_message(schedule.next_ns());
        schedule.advance();
      }
      if (schedule.next_ns() < end_ns) arrivals.set(schedule.next_ns());
    });
    arrivals.set(schedule.next_ns());
    Timer begin(loop_, [&] { window_.begin(); });
    begin.set(begin_ns);
    {
      const Progress progress(loop_, options_.common.quiet, [this] { return progress_line(); });
      loop_.run_until([] { return false; }, end_ns);
      window_.end();
      loop_.run_until([this] { return pending_count_ == 0; },
                      now_ns() + seconds_to_ns(options_.drain_s));
    }
    return report();
  }

 private:
  void open_sessions() {
    if (window_.has_server()) memory_before_ = process_memory(options_.common.server_pid);
    sessions_.resize(options_.sessions);
    fleet_.grow_to(options_.sessions, seconds_to_ns(kOpenTimeoutSeconds));
    // Sessions take turns in a random order, so that one is asked again only after all others.
    turn_order_.resize(options_.sessions);
    std::iota(turn_order_.begin(), turn_order_.end(), size_t{0});
    std::shuffle(turn_order_.begin(), turn_order_.end(), std::mt19937_64(options_.common.seed));
  }

  void send_message(int64_t intended_ns) {
    const size_t session = turn_order_[next_number_ % turn_order_.size()];
    PendingMessage message;
    message.number = next_number_++;
    message.times.intended_ns = intended_ns;
    message.times.measured = window_.contains(intended_ns);
    if (!fleet_[session].is_open()) {
      ++lost_;
      return;
    }
    if (!sessions_[session].empty()) ++overlapped_;
    sessions_[session].push_back(message);
    ++pending_count_;
    fleet_[session].send_text(client_frame(fmt::format("{}-{}", nonce_, message.number), text_));
    if (message.times.measured) {
      ++sent_;
      lag_.record(now_ns() - intended_ns);
    }
  }

  void on_message(WebsocketClient& client, std::string_view payload, int64_t received_ns) override {
    const ChatFrame frame = parse_chat_frame(payload);
    auto& pending = sessions_[client.index()];
    const uint64_t number = number_in(frame.message_id);
    const auto message = std::find_if(pending.begin(), pending.end(),
                                      [&](const auto& each) { return each.number == number; });
    if (message == pending.end()) {
      if (frame.kind == ChatFrame::Kind::error) note_error(frame.text);
      return;
    }
    const int64_t since_ns = received_ns - message->times.intended_ns;
    switch (frame.kind) {
      case ChatFrame::Kind::ack:
        if (message->times.measured) ack_.record(since_ns);
        break;
      case ChatFrame::Kind::step:
        if (message->times.measured && !message->has_step) first_step_.record(since_ns);
        message->has_step = true;
        break;
      case ChatFrame::Kind::delta:
        take_delta(*message, frame.text, received_ns);
        break;
      case ChatFrame::Kind::end:
        if (message->times.measured) end_.record(since_ns);
        if (window_.is_open()) ++ended_in_window_;
        ++ended_;
        pending.erase(message);
        --pending_count_;
        break;
      case ChatFrame::Kind::error:
        note_error(frame.text);
        pending.erase(message);
        --pending_count_;
        break;
      default:
        break;
    }
  }

  void take_delta(PendingMessage& message, std::string_view text, int64_t received_ns) {
    const uint64_t tokens = times_.add(message.times, text, received_ns);
    tokens_ += tokens;
    if (window_.is_open()) {
      tokens_in_window_ += tokens;
      ++deltas_in_window_;
    }
  }

  void on_lost(WebsocketClient& client, std::string_view) override {
    auto& pending = sessions_[client.index()];
    lost_ += pending.size();
    pending_count_ -= pending.size();
    pending.clear();
  }

  void note_error(std::string_view text) {
    ++errors_;
    last_error_ = text;
  }

  std::string progress_line() {
    std::string line =
        fmt::format("{} messages/s, {} tokens/s, {} under way, {} errors", ended_ - ended_before_,
                    tokens_ - tokens_before_, pending_count_, errors_ + lost_);
    ended_before_ = ended_;
    tokens_before_ = tokens_;
    return line;
  }

  int report() {
    Report report("run");
    const double seconds = window_.seconds();
    report.add("sessions", static_cast<double>(options_.sessions));
    report.add("offered_messages_per_second", options_.rate);
    report.add("messages_sent", static_cast<double>(sent_));
    report.add("messages_per_second", static_cast<double>(ended_in_window_) / seconds);
    report.add("tokens_per_second", static_cast<double>(tokens_in_window_) / seconds);
    report.add("delta_frames_per_second", static_cast<double>(deltas_in_window_) / seconds);
    report.add("errors", static_cast<double>(errors_));
    report.add("lost", static_cast<double>(lost_));
    report.add("unanswered", static_cast<double>(pending_count_));
    report.add("sent_to_busy_sessions", static_cast<double>(overlapped_));
    window_.report(report);
    window_.check_generator(report);
    if (window_.has_server()) report_server(report);
    report_lag(report, lag_);
    report.add_latency("durable ack", ack_);
    report.add_latency("first step", first_step_);
    report.add_latency("end", end_);
    times_.report(report);
    if (errors_ > 0) fmt::print(stderr, "last error: {}\n", last_error_);
    if (fleet_.lost_count() > 0) fmt::print(stderr, "last loss: {}\n", fleet_.last_loss());
    report.publish(options_.common.json_path);
    return report.is_valid() ? kExitOk : kExitInvalid;
  }

  void report_server(Report& report) {
    const double cpu_us = window_.server_cpu_seconds() * 1e6;
    if (ended_in_window_ > 0) {
      report.add("server_cpu_us_per_message", cpu_us / static_cast<double>(ended_in_window_));
    }
    if (tokens_in_window_ > 0 && cpu_us > 0) {
      report.add("server_cpu_us_per_token", cpu_us / static_cast<double>(tokens_in_window_));
      report.add("tokens_per_server_core_second",
                 static_cast<double>(tokens_in_window_) / (cpu_us / 1e6));
    }
    const ProcessMemory after = process_memory(options_.common.server_pid);
    const auto per_session = [&](uint64_t now, uint64_t before) {
      return (static_cast<double>(now) - static_cast<double>(before)) /
             static_cast<double>(options_.sessions);
    };
    report.add("server_private_bytes_per_session",
               per_session(after.private_pages, memory_before_.private_pages));
    report.add("server_pss_bytes_per_session",
               per_session(after.proportional, memory_before_.proportional));
    report.add("server_rss_bytes_per_session",
               per_session(after.resident, memory_before_.resident));
  }

  RunOptions options_;
  EventLoop loop_;
  WebsocketFleet fleet_;
  MeasuredWindow window_;
  std::string nonce_;
  std::string text_;
  ProcessMemory memory_before_;
  std::vector<std::vector<PendingMessage>> sessions_;
  std::vector<size_t> turn_order_;
  uint64_t next_number_ = 0;
  uint64_t pending_count_ = 0;

  uint64_t sent_ = 0;
  uint64_t ended_ = 0;
  uint64_t tokens_ = 0;
  uint64_t ended_in_window_ = 0;
  uint64_t tokens_in_window_ = 0;
  uint64_t deltas_in_window_ = 0;
  uint64_t overlapped_ = 0;
  uint64_t errors_ = 0;
  uint64_t lost_ = 0;
  std::string last_error_;
  uint64_t ended_before_ = 0;
  uint64_t tokens_before_ = 0;
  Histogram lag_, ack_, first_step_, end_;
  TokenTimes times_;
};

}  // namespace

int measure_run(const RunOptions& options) {
  return RunMode(options).measure();
}

}  // namespace parlance::benchmarks
