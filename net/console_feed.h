// What the operator's console sees of this node: gathered from all cores once a second while a
// console is open, and never more often, whoever reads it; and the last hour of the node's numbers
// in a ring of fixed size, which goes on with nobody there. Idle where no console's key is set.
//
// Owner: Shared. Thread: core 0's, but for what says otherwise; what is gathered travels there by
// post. `mutex_` guards the ring alone, since other cores make texts of it.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/io_context.hpp>

#include "base/clock.h"
#include "base/metrics.h"
#include "base/mutex.h"
#include "dialects/console.h"
#include "net/places.h"

namespace parlance::net {

class Core;
struct Shared;

class ConsoleFeed : public std::enable_shared_from_this<ConsoleFeed> {
 public:
  using Json = std::shared_ptr<const std::string>;

  static constexpr std::chrono::seconds kInterval{1};
  static constexpr std::chrono::seconds kStep{5};
  static constexpr std::size_t kSteps = 720;  ///< An hour.
  static constexpr std::size_t kReadersMax = 16;
  static constexpr std::size_t kRowsMax = 100;  ///< Of runs, and of sessions.

  explicit ConsoleFeed(Shared& shared);

  void start();
  void stop();

  // ---- Any core ----

  /// The state, gathered at most kInterval ago. The reply is on `core`.
  void read_state(Core& core, std::function<void(Json)> reply);
  std::string history_json() const;

  /// A place among those that are sent every state.
  Places::Place enter() { return readers_.take(); }

 private:
  using Clock = std::chrono::steady_clock;
  using Timer = boost::asio::basic_waitable_timer<Clock, boost::asio::wait_traits<Clock>,
                                                  boost::asio::io_context::executor_type>;

  /// What one core has.
  struct CoreReading {
    CoreActivity activity;
    std::size_t sessions_watched = 0;
    dialects::console::Connections connections;
  };
  /// Of counters, to be compared with the next.
  struct Counted {
    Clock::time_point at{};
    double messages = 0, completed = 0, failed = 0, tokens_in = 0, tokens_out = 0, records = 0,
           bytes_sent = 0, requests = 0, cpu_seconds = 0;
    metrics::HistogramReading first_token = {}, sync = {};
  };
  struct Waiting {
    std::shared_ptr<Core> core;
    std::function<void(Json)> reply;
  };
  /// Replies on the core that asked; without a state the reply is only let go of there, since it
  /// holds what belongs to that core.
  static void reply_to(Waiting waiting, Json state);

  Core& first_core();
  void arm();
  void on_tick();
  void sample();
  void read_storage();
  void gather();
  static CoreReading read(Core& core);
  void add(CoreReading reading);
  void publish();
  std::vector<dialects::console::Provider> view_providers();
  static Counted count();

  Shared& shared_;
  const Clock::time_point started_ = Clock::now();
  std::unique_ptr<Timer> timer_;
  Places readers_{kReadersMax};
  bool stopped_ = false;

  std::uint64_t ticks_ = 0;
  std::optional<Counted> counted_;
  std::optional<StorageView> storage_;
  bool storage_asked_ = false;
  /// As they were at the last samples of a minute, the oldest first.
  std::vector<std::vector<ProviderView>> providers_before_;

  dialects::console::State gathered_;  ///< While cores_left_ is not 0.
  std::size_t cores_left_ = 0;
  Json state_;
  Clock::time_point state_at_;
  std::vector<Waiting> waiting_;

  mutable Mutex mutex_;
  std::vector<dialects::console::Sample> ring_ GUARDED_BY(mutex_);
  std::size_t oldest_ GUARDED_BY(mutex_) = 0;  ///< Once the ring is full.
};

}  // namespace parlance::net
