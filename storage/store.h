// All that a node keeps: the event logs of its sessions, in one RocksDB.
//
// Owner: app/server. `append` belongs to one thread (persistence); the reading calls may come from
// any thread. Every call may block on the disk.
// Invariants: a session's events have the places 1, 2, 3, ... without a hole; a message id and an
// idempotency key stand in a session's log at most once; a group is on disk whole or not at all.
// After a failed write or sync nothing more is written until the process starts again: what the
// kernel still holds of a failed sync is unknown.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "schemas/event.h"
#include "schemas/ids.h"
#include "schemas/query.h"
#include "storage/options.h"

namespace rocksdb {
class ColumnFamilyHandle;
class DB;
class WriteBatch;
}  // namespace rocksdb

namespace parlance::storage {

/// One event to append, already encoded (schemas/codec.h).
struct AppendRecord {
  std::string bytes;
  /// Set for a MessageAccepted, empty otherwise: the record is dropped when the log has this id.
  std::string message_id;
  std::string idempotency_key;  ///< Likewise; empty when the client gave none.
  bool only_if_known = false;   ///< Asks only whether it is a duplicate; never recorded.
};

/// Text of an answer in progress, kept so that a crash loses little of a stream.
struct PartialText {
  MessageId message_id;
  std::uint32_t part = 1;  ///< 1, 2, 3, ...; 1 begins anew.
  std::string text;        ///< Only what is new since the part before.
};

/// What one session wants made durable, as one unit.
struct AppendRequest {
  SessionId session;
  EventSeq last = 0;  ///< The session's last durable event; the first record is placed after it.
  std::vector<AppendRecord> records;
  /// The oldest durable message that is still unfinished after these records. When there is none,
  /// the oldest message that `records` adds takes its place.
  std::optional<EventSeq> unfinished;
  /// What `unfinished` came to in the request before, or when the session was loaded: written again
  /// only when it changes.
  std::optional<EventSeq> unfinished_before;
  std::optional<PartialText> partial;  ///< Text to keep...
  std::uint32_t parts_dropped = 0;     ///< ...or the number of kept parts that are void now.

  std::size_t bytes() const noexcept;
};

struct RecordOutcome {
  EventSeq seq = 0;        ///< Its place; of the first one when `duplicate`; else 0: not recorded.
  bool duplicate = false;  ///< Dropped: the id or key is in the log already...
  bool same_content = false;  ///< ...with the same id and text.

  bool recorded() const noexcept { return seq != 0 && !duplicate; }
};

/// The outcomes of a request's records, or why nothing of the request was written.
using AppendOutcome = Result<std::vector<RecordOutcome>>;

/// A session as its log tells it, enough to wake its actor.
struct SessionImage {
  Cursor last;                        ///< seq 0: a new session.
  std::vector<RecordedEvent> events;  ///< The tail, and all since the oldest unfinished message.
  std::optional<EventSeq> unfinished;
  MessageId partial_message;  ///< Empty when no answer was being written.
  std::string partial_text;
  std::uint32_t partial_parts = 0;
};

class Store {
 public:
  /// Opens or makes the store. Errors: unavailable (locked by another process, no permission, disk
  /// full), failed_precondition (made by a newer version), corrupted.
  static Result<std::unique_ptr<Store>> open(const Options& options);
  ~Store();

  /// Makes all of `requests` durable in one group, with one sync; the outcome of each request.
  /// Thread: persistence. Two requests of one session may not be in one group.
  /// Errors of all: unavailable (disk full, I/O error, or an earlier write failed). Nothing is
  /// shown then. Errors of one request: corrupted, unavailable (what its ids stand for cannot be
  /// read).
  Result<std::vector<AppendOutcome>> append(std::span<const AppendRequest> requests);

  /// True when the log surely has neither this message id nor this key (empty: none). Looks only
  /// at what is in memory and never blocks, so false may also mean that it would have to.
  bool surely_new(const SessionId& session, std::string_view message_id,
                  std::string_view idempotency_key) const;

  /// True when the session surely has no log yet. Never blocks, as above.
  bool surely_empty(const SessionId& session) const;

  /// Errors: unavailable, corrupted.
  Result<EventPage> read(const SessionId& session, const ReadEvents& range) const;

  /// Loads the last events of a session, up to `tail_bytes_max`, and all since its oldest
  /// unfinished message.
  /// Errors: unavailable, corrupted.
  Result<SessionImage> load(const SessionId& session, std::size_t tail_bytes_max) const;

  /// Sessions with a message that has no terminal event: what a crash left behind.
  Result<std::vector<SessionId>> unfinished_sessions() const;

  std::uint64_t epoch() const noexcept { return epoch_; }

  /// True after a write failed. Any thread.
  bool refuses_writes() const noexcept { return failed_.load(std::memory_order_acquire); }

 private:
  struct Engine;

  Store(std::unique_ptr<Engine> engine, std::uint64_t epoch);
  struct Placed;

  Result<std::vector<Placed>> place(const AppendRequest& request) const;
  Result<std::optional<Placed>> find_first(const SessionId& session,
                                           const AppendRecord& record) const;
  void add_to_batch(const AppendRequest& request, std::span<const Placed> placed);

  std::unique_ptr<Engine> engine_;
  rocksdb::DB* db_;                   ///< The engine's.
  rocksdb::ColumnFamilyHandle* ids_;  ///< The engine's.
  std::uint64_t epoch_;
  std::atomic<bool> failed_{false};
};

}  // namespace parlance::storage
