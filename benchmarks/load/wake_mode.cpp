// parlance-load wake: how long the first word to a sleeping session takes. With --prepare it makes
// chats with some history; after the server was restarted (or its idle time is over) a run without
// --prepare attaches to them all and then pings one after the other. A second round over the same
// sessions, now awake, is the baseline.

#include <algorithm>
#include <numeric>
#include <optional>
#include <random>
#include <stdexcept>
#include <vector>

#include <fmt/format.h>

#include "benchmarks/load/chat_frames.h"
#include "benchmarks/load/exchange.h"
#include "benchmarks/load/modes.h"
#include "benchmarks/support/clock.h"

namespace parlance::benchmarks {
namespace {

constexpr int64_t kPrepareTimeoutNs = 600 * kNsPerSecond;
constexpr int64_t kPongTimeoutNs = 10 * kNsPerSecond;
constexpr size_t kPingBytes = 64;
constexpr size_t kExchangesMax = 64;

class WakeMode : private FleetObserver {
 public:
  explicit WakeMode(const WakeOptions& options)
      : options_(options), fleet_(loop_, *this, options.common.fleet) {}

  int prepare() {
    fleet_.grow_to(options_.chats, seconds_to_ns(kOpenTimeoutSeconds));
    exchange_.emplace(loop_, fleet_, options_.message_bytes, kExchangesMax);
    exchange_->run(0, options_.chats, options_.history_messages, kPrepareTimeoutNs);
    fmt::print("{} chats have {} messages each\n", options_.chats, options_.history_messages);
    return kExitOk;
  }

  int measure() {
    fleet_.grow_to(options_.chats, seconds_to_ns(kOpenTimeoutSeconds));
    loop_.run_until([] { return false; }, now_ns() + seconds_to_ns(options_.settle_s));
    std::vector<size_t> order(options_.chats);
    std::iota(order.begin(), order.end(), size_t{0});
    std::shuffle(order.begin(), order.end(), std::mt19937_64(options_.common.seed));
    Histogram asleep;
    Histogram awake;
    for (const size_t chat : order) asleep.record(ping(chat));
    for (const size_t chat : order) awake.record(ping(chat));
    Report report("wake");
    report.add("chats", static_cast<double>(options_.chats));
    report.add_latency("first ping (asleep)", asleep);
    report.add_latency("second ping (awake)", awake);
    report.publish(options_.common.json_path);
    return kExitOk;
  }

 private:
  /// Pings one chat and waits for its pong; returns the time it took.
  int64_t ping(size_t chat) {
    pinged_ = chat;
    pong_ns_ = 0;
    const int64_t sent_ns = now_ns();
    fleet_[chat].send_text(ping_);
    if (!loop_.run_until([this] { return pong_ns_ != 0; }, sent_ns + kPongTimeoutNs)) {
      throw std::runtime_error(fmt::format("chat {} did not answer a ping in {} s",
                                           fleet_.chat_id(chat), kPongTimeoutNs / kNsPerSecond));
    }
    return pong_ns_ - sent_ns;
  }

  void on_message(WebsocketClient& client, std::string_view payload, int64_t received_ns) override {
    if (exchange_) {
      exchange_->take(client, payload);
    } else if (client.index() == pinged_ &&
               parse_chat_frame(payload).kind == ChatFrame::Kind::pong) {
      pong_ns_ = received_ns;
    }
  }

  void on_lost(WebsocketClient&, std::string_view why) override {
    if (exchange_) exchange_->take_loss(why);
  }

  WakeOptions options_;
  EventLoop loop_;
  WebsocketFleet fleet_;
  std::optional<Exchange> exchange_;
  const std::string ping_ = ping_frame(kPingBytes);
  size_t pinged_ = 0;
  int64_t pong_ns_ = 0;
};

}  // namespace

int measure_wake(const WakeOptions& options) {
  WakeMode mode(options);
  return options.prepare ? mode.prepare() : mode.measure();
}

}  // namespace parlance::benchmarks
