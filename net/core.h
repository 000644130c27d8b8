// What the front end owns on one core: its long-lived sockets, the buffer they are read into, the
// fan-out to them, and one timer for all of their timeouts.
//
// Thread: the core, except where a comment says otherwise. A Core is kept alive by what is posted
// to its io_context; it does no harm once that has stopped.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/io_context.hpp>

#include "actors/session_gateway.h"
#include "auth/access_token.h"
#include "dialects/console.h"
#include "net/authentication.h"
#include "net/connection_limits.h"
#include "net/due_wheel.h"
#include "net/fanout.h"
#include "net/options.h"
#include "net/places.h"
#include "net/readiness.h"

namespace parlance::net {

class ConsoleFeed;
class ConsoleStream;
class Core;
class HttpConnection;
class StreamSocket;

/// What a long-lived socket is called in callbacks and by other cores. Small, and any thread may
/// hold it; get() is for the socket's core.
class SocketRef {
 public:
  /// The socket, or nullptr when it is gone.
  StreamSocket* get() const noexcept;

 private:
  friend class Core;
  Core* core_ = nullptr;
  std::uint32_t slot_ = 0;
  std::uint32_t generation_ = 0;
};

/// What all cores share. Constant after FrontEnd::start(), but for the limits.
struct Shared {
  Shared(Options given, std::shared_ptr<const auth::AccessTokens> tokens);

  const Options options;
  const Authentication authentication;
  const std::shared_ptr<const auth::AccessTokens> access_tokens;  ///< Of the KISS stack.
  ConnectionLimits limits;
  std::shared_ptr<ConsoleFeed> console;  ///< Never null.
  Places log_downloads{4};               ///< Whole logs that consoles are being sent.
  Places log_pages{16};                  ///< Pages of logs likewise.
  std::atomic<std::size_t> refusals{0};  ///< Connections being told that there are too many.
  std::vector<Core*> cores;
};

class Core final : public std::enable_shared_from_this<Core> {
 public:
  Core(boost::asio::io_context& io, std::shared_ptr<Shared> shared, std::size_t index);
  ~Core();

  boost::asio::io_context& io() noexcept { return io_; }
  Shared& shared() noexcept { return *shared_; }
  const Options& options() const noexcept { return shared_->options; }
  Fanout& fanout() noexcept { return fanout_; }
  ReadinessSet& readiness() noexcept { return *readiness_; }
  actors::SessionGateway& gateway() noexcept { return *gateway_; }
  /// Before start().
  void set_gateway(actors::SessionGateway* gateway);

  void start();
  /// Ends every connection in order, and what opens later at once.
  void drain(std::chrono::seconds retry_after);
  bool draining() const noexcept { return draining_; }
  std::chrono::seconds retry_after() const noexcept { return retry_after_; }
  /// Closes every connection as it is, and stops the timer and the readiness set for good.
  void stop();
  bool stopped() const noexcept { return stopped_; }

  // ---- Long-lived sockets ----

  /// Takes over `socket` and tells it when it can be read. False when that cannot be: it is gone.
  bool adopt(std::unique_ptr<StreamSocket> socket);
  /// Closes `socket`; it is destroyed at the end of this turn of the loop.
  void retire(StreamSocket& socket);
  /// Has `socket` flushed at the end of this turn, together with all others that ask meanwhile.
  void flush_later(StreamSocket& socket);
  /// Has `socket` told at `tick`, or earlier.
  void schedule(StreamSocket& socket, Tick tick);
  /// Runs `work` for `socket`; an exception ends that one connection and goes no further.
  template <class Work>
  void guard(StreamSocket& socket, Work work) {
    try {
      work();
    } catch (const std::exception& error) {
      give_up(socket, error);
    }
  }
  SocketRef ref(const StreamSocket& socket) noexcept;
  Tick now() const noexcept { return wheel_.now(); }
  /// Sweeps in `time`, rounded up; at least one. For what recurs.
  Tick ticks(std::chrono::milliseconds time) const noexcept;
  /// Sweeps after which at least `time` has passed, for what must not be early: the first of them
  /// may come at once.
  Tick ticks_past(std::chrono::milliseconds time) const noexcept { return ticks(time) + 1; }

  /// Read into by whoever reads a long-lived socket; free again when that call returns.
  std::span<char> read_buffer() noexcept { return {buffer_.get(), kBufferBytes}; }
  /// JSON being built; free again when the frame is made.
  std::string& scratch() noexcept { return scratch_; }

  // ---- Relays: subscribers of this core that stand for a socket of another ----

  /// Has `relay` watch `session`, which lives here. `name` is the caller's, and not in use.
  void add_relay(std::uint64_t name, std::unique_ptr<Subscriber> relay, SessionId session,
                 const AttachOptions& options);
  void remove_relay(std::uint64_t name);
  /// One that no other core draws. Never 0.
  std::uint64_t draw_relay_name() noexcept { return ++relays_drawn_ << 16 | index_; }

  // ---- HTTP connections: known here only so that they can be ended ----

  void enter(HttpConnection& connection) { http_.insert(&connection); }
  void leave(HttpConnection& connection) { http_.erase(&connection); }

  // ---- The operator's console ----

  void enter(ConsoleStream& console) { consoles_.insert(&console); }
  void leave(ConsoleStream& console) { consoles_.erase(&console); }
  /// Sends `state` to the consoles of this core.
  void tell_consoles(const Frame& state);
  /// What is open here.
  dialects::console::Connections connections() const;

  /// Counted here without atomics, and published with every sweep.
  struct Counts {
    std::uint64_t frames_received = 0;
    std::uint64_t frames_sent = 0;
    std::uint64_t bytes_sent = 0;
  };
  Counts counts;
  std::size_t partial_bytes = 0;   ///< Of incomplete messages, all sockets of the core.
  std::size_t document_bytes = 0;  ///< Of bodies and messages with documents.
  std::size_t uploads = 0;         ///< Bodies of voice messages that have a spool.
  std::size_t history_bytes = 0;   ///< Of answers of /history that are made or sent.

 private:
  friend class SocketRef;
  static constexpr std::size_t kBufferBytes = 64 << 10;
  using Clock = std::chrono::steady_clock;
  using Timer = boost::asio::basic_waitable_timer<Clock, boost::asio::wait_traits<Clock>,
                                                  boost::asio::io_context::executor_type>;
  struct Slot {
    std::unique_ptr<StreamSocket> socket;
    std::uint32_t generation = 0;
  };
  struct Due {
    std::uint32_t slot;
    std::uint32_t generation;
  };

  /// Where sockets like `socket` are counted.
  std::size_t& count_of(const StreamSocket& socket);
  void give_up(StreamSocket& socket, const std::exception& error);
  void flush();
  void sweep();
  void publish_counts();

  boost::asio::io_context& io_;
  const std::shared_ptr<Shared> shared_;
  const std::size_t index_;
  Fanout fanout_;
  actors::SessionGateway* gateway_ = nullptr;
  std::unique_ptr<ReadinessSet> readiness_;
  std::unique_ptr<Timer> timer_;
  DueWheel<Due> wheel_;
  std::unique_ptr<char[]> buffer_;
  std::string scratch_;

  std::unordered_set<ConsoleStream*> consoles_;  ///< Of slots_, whose sockets leave it.
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_slots_;
  std::vector<StreamSocket*> dirty_;  ///< Ask to be flushed.
  std::vector<std::unique_ptr<StreamSocket>> retired_;
  std::unordered_set<HttpConnection*> http_;
  dialects::console::Connections sockets_;  ///< Long-lived ones.
  std::unordered_map<std::uint64_t, std::unique_ptr<Subscriber>> relays_;
  std::uint64_t relays_drawn_ = 0;
  bool flush_posted_ = false;
  bool draining_ = false;
  bool stopped_ = false;
  std::chrono::seconds retry_after_{0};
};

}  // namespace parlance::net
