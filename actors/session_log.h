// The end of one session's log, as its actor writes it: what waits to be recorded, the append on
// its way, the messages without a terminal event, and how much of the text in progress is kept.
//
// Pure: no I/O, no threads. Owned by the session's actor, which sends the requests to the
// persistence actor and hands their outcomes back.
// Invariant: at most one append is on its way; what comes meanwhile joins the next one. So the
// places in the log are known without asking.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "actors/session_gateway.h"
#include "base/clock.h"
#include "schemas/event.h"
#include "storage/store.h"

namespace parlance::actors {

class SessionLog {
 public:
  /// Called once: it is durable, or why it will not be.
  using Landing = std::function<void(const Status&)>;

  /// An event on its way to the disk; or, with a refusal, a message that is recorded already or not
  /// at all.
  struct Entry {
    Event event;
    WallTime time;
    storage::AppendRecord record;
    MessageId message_id;                              ///< For the replies; empty without.
    std::vector<SessionGateway::SubmitReply> replies;  ///< Of a message and its repeats.
    std::optional<Error> refusal;                      ///< The reply where it is not known.
    Landing landed = {};
  };

  /// What an append came to. The events of recorded entries are in `told`, in the same order.
  struct Landed {
    std::vector<RecordedEvent> told;
    std::vector<std::pair<Entry, storage::RecordOutcome>> entries;
    std::vector<Landing> beside;  ///< Of what changed beside the log.
  };

  // ---- Waking ----

  void restore(Cursor last, std::uint32_t parts_kept);
  /// In log order.
  void add_unfinished(EventSeq seq, MessageId id) { unfinished_.emplace_back(seq, std::move(id)); }

  // ---- What joins the next append ----

  void record(Event event);
  /// An event of the session itself. `key`: the idempotency key that stands for it, or empty.
  void record(Event event, std::string key, Landing landed);
  /// What changes beside the log, with the next append. Fields that are set win over earlier ones.
  void change_beside(storage::Beside change, Landing landed);
  void record(SubmitMessage message, SessionGateway::SubmitReply reply);
  /// Refuses the message unless the log has it: then its sender is answered as at the first time.
  void refuse_unless_known(SubmitMessage message, SessionGateway::SubmitReply reply, Error refusal);
  /// Keeps what is new in `text`, the whole answer so far to `message`.
  void keep_text(const MessageId& message, const std::string& text);
  /// The kept text is void: what replaces it is recorded, or a model call began anew.
  void drop_text();
  std::size_t text_kept() const noexcept { return text_kept_; }

  // ---- Appending ----

  /// The next append; nothing while one is on its way, or when there is nothing to write.
  std::optional<storage::AppendRequest> start_append(const SessionId& session);
  /// The outcomes of that append. It is under way until end_append(): what its effects record
  /// leaves together.
  Landed land(std::span<const storage::RecordOutcome> outcomes, std::uint64_t epoch);
  void end_append() { appending_ = false; }
  /// Gives up what is not durable; returns it for its replies.
  std::vector<Entry> abandon();
  std::vector<Landing> abandon_beside();

  // ---- What is known ----

  /// The last place of the log.
  const Cursor& last() const noexcept { return last_; }
  /// Nothing is durable yet.
  bool empty() const noexcept { return last_.seq == 0; }
  /// A message that is not durable yet; null when there is none with this id.
  Entry* find(const MessageId& id);
  /// Messages that are not durable yet.
  std::size_t count_accepting() const;
  /// A message that is not durable yet runs `root` again.
  bool retries(const MessageId& root) const;
  /// Entries for the next append.
  std::size_t count_waiting() const noexcept { return waiting_.size(); }
  /// Events are being recorded, or wait for it.
  bool recording() const;
  bool appending() const noexcept { return appending_; }
  /// Nothing is on its way to the store, and nothing waits for it.
  bool quiet() const noexcept {
    return !appending_ && waiting_.empty() && !beside_waiting_ && !part_waiting_ &&
           parts_to_drop_ == 0;
  }
  bool is_unfinished(EventSeq seq) const;
  bool is_unfinished(const MessageId& id) const { return place_of(id) != 0; }
  /// Of an unfinished message; 0 when it is none.
  EventSeq place_of(const MessageId& id) const;
  std::size_t count_unfinished() const noexcept { return unfinished_.size(); }

 private:
  Entry& add(SubmitMessage message, SessionGateway::SubmitReply reply);

  Cursor last_;
  bool appending_ = false;
  std::vector<Entry> waiting_;
  std::vector<Entry> flying_;
  std::vector<std::pair<EventSeq, MessageId>> unfinished_;  ///< Durable, in log order.
  std::uint32_t parts_ = 0;  ///< Kept parts of the text in progress, part 0 included.
  std::uint32_t parts_to_drop_ = 0;
  std::size_t text_kept_ = 0;  ///< Bytes of it that are kept, or wait for it.
  std::optional<storage::PartialText> part_waiting_;
  /// Rare, and so not a part of every awake session.
  struct BesideLog {
    storage::Beside change;
    std::vector<Landing> landed;
  };
  std::unique_ptr<BesideLog> beside_waiting_;
  std::vector<Landing> beside_flying_;
};

}  // namespace parlance::actors
