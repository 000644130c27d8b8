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
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "schemas/client.h"
#include "schemas/console.h"
#include "schemas/document.h"
#include "schemas/event.h"
#include "schemas/ids.h"
#include "schemas/query.h"
#include "storage/catalog.h"
#include "storage/options.h"

namespace rocksdb {
class ColumnFamilyHandle;
class DB;
class WriteBatch;
}  // namespace rocksdb

namespace parlance::storage {

struct Engine;

/// One event to append, already encoded (schemas/codec.h).
struct AppendRecord {
  std::string bytes;
  /// Set for a MessageAccepted, empty otherwise: the record is dropped when the log has this id.
  std::string message_id;
  std::string idempotency_key;  ///< Likewise; empty when the client gave none.
  bool drawn_id = false;        ///< Nobody knows its id yet: it may repeat a message of another id.
  bool only_if_known = false;   ///< Asks only whether it is a duplicate; never recorded.
};

/// Text of an answer in progress, kept so that a crash loses little of a stream.
struct PartialText {
  MessageId message_id;
  std::uint32_t part = 1;  ///< 1, 2, 3, ...; 1 begins anew.
  std::string text;        ///< Only what is new since the part before.
};

/// What changes beside the log, together with it.
struct Beside {
  std::optional<ClientRecord> client;        ///< Takes the place of the one before.
  std::optional<std::uint64_t> begun_set;    ///< Passages of this set follow; not there until...
  std::optional<DocumentSet> stored_set;     ///< ...it is whole: the set is there from now on...
  std::optional<std::uint64_t> dropped_set;  ///< ...or given up: nothing of it stays.
  /// Removes all that the session has but its client, its first event (of a platform session that,
  /// too) and what this request adds.
  bool erase = false;
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
  std::optional<Beside> beside = {};

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
  std::optional<ClientRecord> client;  ///< Where a client authorized the session.
};

/// Passages of a set that was begun, and their embeddings. Seen by nobody before the set is stored.
struct PassageBatch {
  SessionId session;
  std::uint64_t set = 0;
  std::uint32_t first = 0;                        ///< Index of the first passage.
  std::vector<std::string> passages;              ///< Encoded (schemas/record_codec.h).
  std::vector<std::vector<std::string>> vectors;  ///< For each tool of the set, of each passage.
};

/// A set that was begun and is not there. What was written of it is to be removed wherever it is;
/// then this is. kWholeSession: all that the session had. kErasedBytes: the session was erased, and
/// its bytes may be in files until a scrub(). kDeletedSession: a platform session was deleted, and
/// its log is to be erased.
struct BegunSet {
  SessionId session;
  std::uint64_t set = 0;
};
inline constexpr std::uint64_t kWholeSession = 0;
inline constexpr std::uint64_t kErasedBytes = ~std::uint64_t{0};
inline constexpr std::uint64_t kDeletedSession = kErasedBytes - 1;

/// A passage as an index is made from it.
struct StoredPassage {
  PassageId id;
  Passage passage;
  std::string vector;  ///< 32-bit floats, little endian; empty where the tool has none.
};

/// What opening does with a store of an older layout.
enum class OldLayout : unsigned char { refuse, migrate };

class Store {
 public:
  /// Opens or makes the store. One that is to be refused as too old is not opened for writing.
  /// Errors: unavailable (open in another process, no permission, disk full), failed_precondition
  /// (of a newer layout; of an older one, where `old` refuses it), corrupted.
  static Result<std::unique_ptr<Store>> open(const Options& options,
                                             OldLayout old = OldLayout::refuse);
  ~Store();

  /// Makes all of `requests` durable in one group, with one sync; the outcome of each request.
  /// Thread: persistence. Two requests of one session may not be in one group.
  /// Errors of all: unavailable (disk full, I/O error, or an earlier write failed). Nothing is
  /// shown then. Errors of one request: corrupted, unavailable (what its ids stand for cannot be
  /// read).
  Result<std::vector<AppendOutcome>> append(std::span<const AppendRequest> requests);

  /// Writes passages; they are there with the append that stores their set.
  /// Thread: persistence. Errors: unavailable.
  Status write_passages(const PassageBatch& batch);

  /// Removes what is left of a set that was begun and not stored, and that it was begun; without a
  /// sync. Thread: persistence, or before there is one. Errors: unavailable.
  Status drop_begun_set(const BegunSet& begun);
  /// The sets that were begun and not stored, of `session` or, where it is null, of all.
  Result<std::vector<BegunSet>> begun_sets(const SessionId* session) const;

  // ---- Clients and documents ----

  /// Keeps a client that comes from elsewhere. False: there is one already, which stays as it is.
  /// Thread: persistence, or where there is none. Errors: unavailable, corrupted.
  Result<bool> add_client(const SessionId& session, const ClientRecord& client);

  /// Errors of all: unavailable, corrupted.
  Result<std::optional<ClientRecord>> client(const SessionId& session) const;
  /// The sessions of temporary clients that were made before `time` and are not deactivated. Looks
  /// at every client.
  Result<std::vector<SessionId>> temporary_clients(WallTime made_before) const;
  /// The session's sets of documents with numbers over `after`, in the order they were stored.
  Result<std::vector<DocumentSet>> document_sets(const SessionId& session,
                                                 std::uint64_t after) const;
  Result<bool> has_document(const SessionId& session, std::string_view document_id) const;
  /// The event that an idempotency key stands for.
  Result<std::optional<RecordedEvent>> event_of_key(const SessionId& session,
                                                    std::string_view key) const;
  /// Calls `each` for the passages of a set in order from number `first` on, with their embeddings
  /// for its tool number `tool`, until it says false.
  Status read_passages(const SessionId& session, std::uint64_t set, std::uint8_t tool,
                       std::uint32_t first, const std::function<bool(StoredPassage)>& each) const;
  /// Those of `ids` that are there, in that order.
  Result<std::vector<PassageText>> passage_texts(const SessionId& session,
                                                 std::span<const PassageId> ids) const;
  // ---- Agents and platform sessions ----

  /// Makes all of `changes` durable, with one sync, and tells what each came to; the changes are
  /// used up. Thread: persistence. Errors of all: unavailable; of one: see storage/catalog.h.
  Result<std::vector<Result<CatalogOutcome>>> change_catalog(std::span<CatalogChange> changes);

  /// Errors of all: not_found, unavailable, corrupted.
  Result<Agent> agent(const AgentId& id) const;
  Result<PlatformSession> platform_session(const SessionId& id) const;
  /// The agent that answers in a session.
  Result<Agent> agent_of(const SessionId& id) const;
  /// Nothing: it is not there, or only on the disk. Never blocks.
  std::optional<Agent> agent_in_memory(const AgentId& id) const;
  std::optional<PlatformSession> platform_session_in_memory(const SessionId& id) const;
  /// Newest first. Errors: unavailable, corrupted.
  Result<std::vector<Agent>> agents(const ListRange& range) const;
  /// Of `agent`, or all.
  Result<std::vector<PlatformSession>> platform_sessions(const ListRange& range,
                                                         const std::optional<AgentId>& agent) const;

  /// Lets the files forget what an erase removed: the bytes are gone from the disk afterwards.
  /// Takes long; ends early when `go_on` says no. Returns how many of `sessions` are done. Any
  /// thread. Errors: unavailable.
  Result<std::size_t> scrub(std::span<const SessionId> sessions,
                            const std::function<bool()>& go_on) const;

  /// True when the log surely has neither this message id nor this key (empty: none). Looks only
  /// at what is in memory and never blocks, so false may also mean that it would have to.
  bool surely_new(const SessionId& session, std::string_view message_id,
                  std::string_view idempotency_key) const;

  /// True when the session surely has no log yet and no client. Never blocks, as above.
  bool surely_empty(const SessionId& session) const;

  /// Errors: unavailable, corrupted.
  Result<EventPage> read(const SessionId& session, const ReadEvents& range) const;

  /// Loads the last events of a session, up to `tail_bytes_max`, and all since its oldest
  /// unfinished message.
  /// Errors: unavailable, corrupted.
  Result<SessionImage> load(const SessionId& session, std::size_t tail_bytes_max) const;

  /// What it takes, and how the engine is. Errors: unavailable.
  Result<StorageView> usage() const;

  /// Sessions with a message that has no terminal event: what a crash left behind.
  Result<std::vector<SessionId>> unfinished_sessions() const;

  std::uint64_t epoch() const noexcept { return epoch_; }

  /// True after a write failed. Any thread.
  bool refuses_writes() const noexcept { return failed_.load(std::memory_order_acquire); }

 private:
  Store(std::unique_ptr<Engine> engine, std::uint64_t epoch);
  struct Placed;

  Result<std::vector<Placed>> place(const AppendRequest& request) const;
  Result<std::optional<Placed>> find_first(const SessionId& session,
                                           const AppendRecord& record) const;
  void add_to_batch(const AppendRequest& request, std::span<const Placed> placed);
  void add_to_batch(const SessionId& session, const Beside& beside, EventSeq last);
  void drop_set(const SessionId& session, std::uint64_t set);
  void erase(const SessionId& session, EventSeq first, EventSeq last);

  std::unique_ptr<Engine> engine_;
  rocksdb::DB* db_;                         ///< The engine's.
  rocksdb::ColumnFamilyHandle* ids_;        ///< The engine's.
  rocksdb::ColumnFamilyHandle* documents_;  ///< The engine's.
  rocksdb::ColumnFamilyHandle* platform_;   ///< The engine's.
  std::uint64_t epoch_;
  std::atomic<bool> failed_{false};
};

}  // namespace parlance::storage
