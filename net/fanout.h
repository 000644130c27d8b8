// Who watches which session on one core, and how what a session tells reaches them.
// An event is encoded once per form that its watchers read, and the same bytes go to all of them.
//
// A watcher with a cursor first catches up from the log, page by page as fast as it reads, then is
// live. No gap and no duplicate, because every recorded event has a place in the log and a watcher
// remembers the last one it was given: what it was given before is skipped, and a hole sends it
// back to the log. What happens while it catches up is not queued for it; it only means one more
// read. One who may hold what was erased is told of a gap.
//
// Thread: the core. Owns no connection: a Subscriber detaches itself before it dies. Callbacks of
// the gateway name a subscriber by slot and generation, so they may come after its death.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "actors/session_gateway.h"
#include "net/options.h"
#include "net/outbound_queue.h"
#include "schemas/event.h"
#include "schemas/ids.h"

namespace parlance::net {

class Fanout;
class Subscriber;

/// The forms in which a subscriber can read an event.
enum class Wire : std::uint8_t { websocket, websocket_deflate, sse, plain };
inline constexpr std::size_t kWires = 4;

/// What kind of thing a frame tells.
enum class Telling : std::uint8_t { step, delta, reset, snapshot, other };

/// Runs told again that are remembered for one watcher.
inline constexpr std::size_t kReplaysMax = 512;

/// Wraps `json` for a wire. `id` is the server-sent event's id, empty for none.
Frame encode_for(Wire wire, std::string_view json, std::string_view id, const Options& options);

struct AttachOptions {
  bool tokens = false;               ///< Also deltas, snapshots and resets.
  bool acks = false;                 ///< Also the users' own messages.
  std::optional<Cursor> after = {};  ///< Replay from there. {0, 0} is the log's beginning.
};

/// What a watcher is called in callbacks. Small enough to travel inside a std::function.
class SubscriberRef {
 public:
  /// The subscriber, or nullptr when it is gone.
  Subscriber* get() const noexcept;

 private:
  friend class Fanout;
  Fanout* fanout_ = nullptr;
  std::uint32_t slot_ = 0;
  std::uint32_t generation_ = 0;
};

/// A connection that watches a session.
class Subscriber {
 public:
  explicit Subscriber(Wire wire) : wire_(wire) {}
  virtual ~Subscriber();
  Subscriber(const Subscriber&) = delete;
  Subscriber& operator=(const Subscriber&) = delete;

  /// Queues `frame`; `seq` is the recorded event it tells, or 0. Neither detaches nor destroys.
  /// A live frame counts against the limit of the write queue; one of a page of the log does not,
  /// since pages wait for the queue.
  enum class Pace : std::uint8_t { live, paged };
  virtual void send(const Frame& frame, EventSeq seq, Pace pace) = 0;
  /// Bytes that wait to be written.
  virtual std::size_t queued_bytes() const = 0;
  /// The log cannot be read; the connection should end and say so. Neither detaches nor destroys.
  virtual void fail(const Error& error) = 0;
  /// Of a subscriber on Wire::plain: whether it is to be sent this, which is about `message`.
  virtual bool wants(Telling /*telling*/, const MessageId& /*message*/) { return true; }
  /// What was asked for was sent.
  enum class Told : std::uint8_t { history, replay };
  virtual void on_told(Told /*told*/) {}

  Wire wire() const noexcept { return wire_; }
  bool attached() const noexcept { return channel_ != nullptr; }
  /// The session it watches. Only while attached.
  const SessionId& session() const noexcept;
  /// The last place of the log it was given; seq 0 when that is not known.
  const Cursor& position() const noexcept { return position_; }
  /// Runs that are being told again, or were and may yet come live: see Fanout::replay.
  std::size_t replays() const noexcept { return replays_ ? replays_->size() : 0; }

 protected:
  void set_wire(Wire wire) noexcept { wire_ = wire; }

 private:
  friend class Fanout;
  enum class State : std::uint8_t { opening, catching_up, live };

  /// A session that is watched from this core.
  struct Channel {
    const SessionId* session = nullptr;  ///< The key in the fanout's table.
    Subscriber* first = nullptr;
    std::size_t watchers = 0;
    EventSeq newest = 0;  ///< The newest event told since the channel exists.
  };

  /// A message whose run is told again to this subscriber, because it was sent a second time.
  struct Replay {
    MessageId message_id;
    EventSeq through = 0;  ///< Its events up to here were told.
    EventSeq newest = 0;   ///< The newest that was held back meanwhile.
    bool reading = false;
    bool done = false;
  };

  Channel* channel_ = nullptr;
  Subscriber* previous_ = nullptr;
  Subscriber* next_ = nullptr;
  Cursor position_;
  std::unique_ptr<std::vector<Replay>> replays_;
  std::uint32_t slot_ = 0;
  Wire wire_;
  State state_ = State::live;
  bool tokens_ : 1 = false;
  bool acks_ : 1 = false;
  bool reading_ : 1 = false;          ///< A page is on its way.
  bool waits_for_queue_ : 1 = false;  ///< The next page follows when the queue is low.
  bool text_live_ : 1 = false;        ///< The snapshot is through: deltas are shown.
  bool position_known_ : 1 = false;
  bool may_hold_ : 1 = true;  ///< Of what the log had: told here, or known from before.
};

class Fanout final : public actors::EventSink {
 public:
  explicit Fanout(const Options& options);
  ~Fanout() override;
  Fanout(const Fanout&) = delete;
  Fanout& operator=(const Fanout&) = delete;

  /// Must be set before the first attach.
  void set_gateway(actors::SessionGateway* gateway) { gateway_ = gateway; }

  void attach(Subscriber& subscriber, SessionId session, const AttachOptions& options);
  void detach(Subscriber& subscriber);

  /// The subscriber's queue fell: a page that waited for it may follow.
  void on_drained(Subscriber& subscriber);

  /// Tells the events of `message_id`'s run again, from the log, and then goes on live: for one who
  /// sent a message a second time. `accepted` is the place of the message itself.
  /// What was told is remembered until the watcher's place is past it, but of kReplaysMax runs at
  /// most: before the oldest is forgotten so many others were read from the log that what the
  /// session told of it came long ago.
  void replay(Subscriber& subscriber, MessageId message_id, const Cursor& accepted);

  /// Sends the `history` message.
  void send_history(Subscriber& subscriber);

  SubscriberRef ref(const Subscriber& subscriber) noexcept;
  std::size_t subscribers() const noexcept { return attached_; }
  std::size_t sessions() const noexcept { return channels_.size(); }
  /// How many watch `session`.
  std::size_t watchers(const SessionId& session) const;

  void on_recorded(const SessionId& session, std::span<const RecordedEvent> events) override;
  void on_passing(const SessionId& session, const PassingEvent& event) override;

 private:
  friend class SubscriberRef;
  class Encoded;
  using Channel = Subscriber::Channel;
  using State = Subscriber::State;
  using Pace = Subscriber::Pace;
  struct Slot {
    Subscriber* subscriber = nullptr;
    std::uint32_t generation = 0;
  };

  static bool loses(const Subscriber& subscriber, const Event& event);
  void give(Subscriber& subscriber, Encoded& event, Pace pace);
  static bool held_by_replay(Subscriber& subscriber, const RecordedEvent& event);
  void send_json(Subscriber& subscriber, std::string_view json, std::string_view id, Pace pace);

  void read_next(Subscriber& subscriber);
  void on_page(Subscriber& subscriber, const Result<EventPage>& page);
  bool open_at(Subscriber& subscriber, const EventPage& page);
  void read_gap(Subscriber& subscriber);
  void on_gap(Subscriber& subscriber, const Result<EventPage>& page);
  void go_on(Subscriber& subscriber, EventSeq newest);
  void go_live(Subscriber& subscriber);
  void read_replay(Subscriber& subscriber);
  void on_replay_page(Subscriber& subscriber, const MessageId& message_id,
                      const Result<EventPage>& page);

  const Options& options_;
  actors::SessionGateway* gateway_ = nullptr;
  std::unordered_map<SessionId, Channel> channels_;
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_slots_;
  std::size_t attached_ = 0;
  std::string scratch_;  ///< JSON being built.
};

}  // namespace parlance::net
