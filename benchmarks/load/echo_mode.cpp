// parlance-load echo: a closed loop with one frame outstanding per connection. It finds the ceiling
// of a server core, not a latency: with a closed loop a slow server is asked less.

#include <vector>

#include <fmt/format.h>

#include "benchmarks/load/chat_frames.h"
#include "benchmarks/load/modes.h"
#include "benchmarks/load/websocket_frames.h"
#include "benchmarks/support/clock.h"

namespace parlance::benchmarks {
namespace {

class EchoMode : private FleetObserver {
 public:
  explicit EchoMode(const EchoOptions& options)
      : options_(options),
        fleet_(loop_, *this, options.common.fleet),
        window_(options.common.server_pid) {
    const std::string payload = options.target == EchoOptions::Target::ping
                                    ? ping_frame(options.bytes)
                                    : std::string(options.bytes, 'x');
    append_client_frame(frame_, Opcode::text, payload);
  }

  int measure() {
    fleet_.grow_to(options_.connections, seconds_to_ns(kOpenTimeoutSeconds));
    sent_ns_.resize(options_.connections);
    for (size_t i = 0; i < options_.connections; ++i) send(i, now_ns());
    run_closed_loop(loop_, window_, options_.warmup_s, options_.duration_s, options_.common.quiet,
                    [this] { return progress_line(); });
    return report();
  }

 private:
  void send(size_t index, int64_t now) {
    sent_ns_[index] = now;
    fleet_[index].send_frames(frame_);
  }

  void on_message(WebsocketClient& client, std::string_view, int64_t received_ns) override {
    ++received_;
    if (window_.is_open()) {
      ++received_in_window_;
      round_trip_.record(received_ns - sent_ns_[client.index()]);
    }
    send(client.index(), now_ns());
  }

  void on_lost(WebsocketClient&, std::string_view) override {}

  std::string progress_line() {
    std::string line = fmt::format("{} messages/s", received_ - received_before_);
    received_before_ = received_;
    return line;
  }

  int report() {
    Report report("echo");
    const double rate = static_cast<double>(received_in_window_) / window_.seconds();
    report.add("connections", static_cast<double>(options_.connections));
    report.add("messages_per_second", rate);
    report.add("lost_connections", static_cast<double>(fleet_.lost_count()));
    // A closed-loop generator is meant to be busy: its share is told, and invalidates nothing.
    window_.report(report);
    if (window_.has_server() && window_.server_cpu_seconds() > 0) {
      report.add("messages_per_server_core_second",
                 static_cast<double>(received_in_window_) / window_.server_cpu_seconds());
    }
    report.add_latency("round trip", round_trip_);
    if (fleet_.lost_count() > 0) {
      report.invalidate(fmt::format("the server closed {} connections", fleet_.lost_count()));
      fmt::print(stderr, "last loss: {}\n", fleet_.last_loss());
    }
    report.publish(options_.common.json_path);
    return report.is_valid() ? kExitOk : kExitInvalid;
  }

  EchoOptions options_;
  EventLoop loop_;
  WebsocketFleet fleet_;
  MeasuredWindow window_;
  std::string frame_;
  std::vector<int64_t> sent_ns_;
  uint64_t received_ = 0;
  uint64_t received_before_ = 0;
  uint64_t received_in_window_ = 0;
  Histogram round_trip_;
};

}  // namespace

int measure_echo(const EchoOptions& options) {
  return EchoMode(options).measure();
}

}  // namespace parlance::benchmarks
