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
#include <vector>

#include "base/result.h"
#include "schemas/event.h"
#include "schemas/ids.h"
#include "schemas/query.h"
#include "storage/options.h"

namespace rocksdb {
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
  std::optional<PartialText> partial;  ///< Text to keep...
  std::uint32_t parts_dropped = 0;     ///< ...or the number of kept parts that are void now.

  std::size_t bytes() const noexcept;
};

struct RecordOutcome {
  EventSeq seq = 0;           ///< Its place; of the first one when `duplicate`.
  bool duplicate = false;     ///< Dropped: the id or key is in the log already...
  bool same_content = false;  ///< ...with the same id and text.
};

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

  /// Makes all of `requests` durable in one group, with one sync; the outcome of each record.
  /// Thread: persistence. Two requests of one session may not be in one group.
  /// Errors: unavailable (disk full, I/O error, or an earlier write failed). Nothing is shown then.
  Result<std::vector<std::vector<RecordOutcome>>> append(std::span<const AppendRequest> requests);

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
  Store(std::unique_ptr<rocksdb::DB> db, std::uint64_t epoch);
  Result<std::vector<RecordOutcome>> add_to_batch(rocksdb::WriteBatch& batch,
                                                  const AppendRequest& request);
  Result<std::optional<RecordOutcome>> find_duplicate(const SessionId& session,
                                                      const AppendRecord& record) const;

  std::unique_ptr<rocksdb::DB> db_;
  std::uint64_t epoch_;
  std::atomic<bool> failed_{false};
};

}  // namespace parlance::storage
