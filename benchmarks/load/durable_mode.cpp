// parlance-load durable: a closed loop of messages that are to be stored. Every session keeps some
// in flight; what is counted is the acknowledgement that a message is on disk ("client_message"),
// not its answer.

#include <algorithm>
#include <charconv>
#include <vector>

#include <fmt/format.h>

#include "benchmarks/load/chat_frames.h"
#include "benchmarks/load/modes.h"
#include "benchmarks/support/clock.h"

namespace parlance::benchmarks {
namespace {

/// A slot of a session that a message is in. Its message's id is "<nonce>-<slot>-<serial>".
struct Slot {
  uint64_t serial = 0;
  int64_t sent_ns = 0;
  bool acked = false;
};

class DurableMode : private FleetObserver {
 public:
  explicit DurableMode(const DurableOptions& options)
      : options_(options),
        fleet_(loop_, *this, options.common.fleet),
        window_(options.common.server_pid),
        nonce_(fresh_prefix("d")),
        text_(message_text("", options.bytes)) {}

  int measure() {
    fleet_.grow_to(options_.sessions, seconds_to_ns(kOpenTimeoutSeconds));
    slots_.assign(options_.sessions, std::vector<Slot>(options_.inflight));
    for (size_t session = 0; session < slots_.size(); ++session) {
      for (size_t slot = 0; slot < options_.inflight; ++slot) send(session, slot);
    }
    run_closed_loop(loop_, window_, options_.warmup_s, options_.duration_s, options_.common.quiet,
                    [this] { return progress_line(); });
    return report();
  }

 private:
  void send(size_t session, size_t slot_index) {
    Slot& slot = slots_[session][slot_index];
    ++slot.serial;
    slot.acked = false;
    slot.sent_ns = now_ns();
    fleet_[session].send_text(client_frame(fmt::format("{}-{}-{}", nonce_, slot_index, slot.serial),
                                           text_, options_.on_busy));
  }

  void on_message(WebsocketClient& client, std::string_view payload, int64_t received_ns) override {
    const ChatFrame frame = parse_chat_frame(payload);
    const bool matters = frame.kind == ChatFrame::Kind::ack || frame.kind == ChatFrame::Kind::end ||
                         frame.kind == ChatFrame::Kind::error;
    if (!matters) return;
    if (frame.kind == ChatFrame::Kind::error) {
      ++errors_;
      last_error_ = frame.text;
    }
    // Also of a message whose slot has moved on.
    if (frame.kind == ChatFrame::Kind::end && window_.is_open()) ++ended_in_window_;
    const auto slot_index = slot_of(client.index(), frame.message_id);
    if (slot_index == options_.inflight) return;
    Slot& slot = slots_[client.index()][slot_index];
    if (frame.kind == ChatFrame::Kind::ack && !slot.acked) {
      slot.acked = true;
      ++acked_;
      if (window_.is_open()) {
        ++acked_in_window_;
        ack_.record(received_ns - slot.sent_ns);
      }
      if (options_.release == DurableOptions::Release::ack) send(client.index(), slot_index);
      return;
    }
    if (frame.kind == ChatFrame::Kind::end && window_.is_open()) {
      end_.record(received_ns - slot.sent_ns);
    }
    if (frame.kind != ChatFrame::Kind::ack) send(client.index(), slot_index);
  }

  /// The slot whose current message has that id; `inflight` when there is none (any more).
  size_t slot_of(size_t session, std::string_view message_id) const {
    const size_t serial_dash = message_id.rfind('-');
    if (serial_dash == std::string_view::npos || serial_dash == 0) return options_.inflight;
    const size_t slot_dash = message_id.rfind('-', serial_dash - 1);
    if (slot_dash == std::string_view::npos) return options_.inflight;
    size_t slot = options_.inflight;
    uint64_t serial = 0;
    std::from_chars(message_id.data() + slot_dash + 1, message_id.data() + serial_dash, slot);
    std::from_chars(message_id.data() + serial_dash + 1, message_id.data() + message_id.size(),
                    serial);
    if (slot >= options_.inflight || slots_[session][slot].serial != serial) {
      return options_.inflight;
    }
    return slot;
  }

  void on_lost(WebsocketClient&, std::string_view) override {}

  std::string progress_line() {
    std::string line =
        fmt::format("{} durable messages/s, {} errors", acked_ - acked_before_, errors_);
    acked_before_ = acked_;
    return line;
  }

  int report() {
    Report report("durable");
    const double seconds = window_.seconds();
    report.add("sessions", static_cast<double>(options_.sessions));
    report.add("inflight_per_session", static_cast<double>(options_.inflight));
    report.add("message_bytes", static_cast<double>(options_.bytes));
    report.add("durable_messages_per_second", static_cast<double>(acked_in_window_) / seconds);
    report.add("answered_messages_per_second", static_cast<double>(ended_in_window_) / seconds);
    report.add("errors", static_cast<double>(errors_));
    report.add("lost_connections", static_cast<double>(fleet_.lost_count()));
    window_.report(report);
    report.add_latency("durable ack", ack_);
    report.add_latency("end", end_);
    if (errors_ > 0) fmt::print(stderr, "last error: {}\n", last_error_);
    if (fleet_.lost_count() > 0) fmt::print(stderr, "last loss: {}\n", fleet_.last_loss());
    if (acked_in_window_ == 0) report.invalidate("no message was acknowledged");
    report.publish(options_.common.json_path);
    return report.is_valid() ? kExitOk : kExitInvalid;
  }

  DurableOptions options_;
  EventLoop loop_;
  WebsocketFleet fleet_;
  MeasuredWindow window_;
  std::string nonce_;
  std::string text_;
  std::vector<std::vector<Slot>> slots_;
  uint64_t acked_ = 0;
  uint64_t acked_before_ = 0;
  uint64_t acked_in_window_ = 0;
  uint64_t ended_in_window_ = 0;
  uint64_t errors_ = 0;
  std::string last_error_;
  Histogram ack_;
  Histogram end_;
};

}  // namespace

int measure_durable(const DurableOptions& options) {
  return DurableMode(options).measure();
}

}  // namespace parlance::benchmarks
