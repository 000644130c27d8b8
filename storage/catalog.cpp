// The part of the store that keeps agents and platform sessions.
#include "storage/catalog.h"

#include <rocksdb/snapshot.h>
#include <rocksdb/utilities/write_batch_with_index.h>

#include "schemas/record_codec.h"
#include "storage/engine.h"
#include "storage/keys.h"
#include "storage/store.h"

namespace parlance::storage {
namespace {

constexpr char kAgents = 'a';
constexpr char kSessions = 'b';
constexpr std::size_t kDigestBytes = 32;

using Outcome = Result<CatalogOutcome>;

Error no_such_agent() {
  return {Errc::not_found, "there is no agent with this id"};
}
Error no_such_session() {
  return {Errc::not_found, "there is no session with this id"};
}
Error outdated() {
  return {Errc::outdated, "it was changed meanwhile; look at it again and change that"};
}

template <class Record>
Result<Record> decode_as(std::string_view bytes) {
  if constexpr (std::is_same_v<Record, Agent>) {
    return decode_agent(bytes);
  } else {
    return decode_platform_session(bytes);
  }
}

/// One group of changes: reads see what the changes before have written.
class Changes {
 public:
  Changes(rocksdb::DB& db, rocksdb::ColumnFamilyHandle* platform, rocksdb::ColumnFamilyHandle* ids,
          rocksdb::ColumnFamilyHandle* documents)
      : db_(db), platform_(platform), ids_(ids), documents_(documents) {}

  rocksdb::WriteBatch& batch() { return *batch_.GetWriteBatch(); }

  Outcome make(CreateAgent& change) { return create(kAgents, change.agent, change.request, {}); }

  Outcome make(CreateSession& change) {
    auto repeated = find_repeated<PlatformSession>(kSessions, change.request);
    if (!repeated) return repeated.error();
    if (!repeated->has_value()) {
      const auto agent = find<Agent>(keys::agent(change.session.settings.agent.text));
      if (!agent) return agent.error();
      if (!agent->has_value()) return unknown_agent();
    }
    return create(kSessions, change.session, change.request, std::move(*repeated));
  }

  Outcome make(UpdateAgent& change) {
    auto agent = find<Agent>(keys::agent(change.id.text));
    if (!agent) return agent.error();
    if (!agent->has_value()) return no_such_agent();
    if (change.if_version && *change.if_version != (*agent)->version) return outdated();
    (*agent)->settings = std::move(change.settings);
    (*agent)->updated_at = change.now;
    ++(*agent)->version;
    put(**agent);
    CatalogOutcome outcome;
    set(outcome, std::move(**agent));
    return outcome;
  }

  Outcome make(UpdateSession& change) {
    auto session = find<PlatformSession>(keys::platform_session(change.id.text));
    if (!session) return session.error();
    if (!session->has_value()) return no_such_session();
    PlatformSession& now = **session;
    if (change.if_version && *change.if_version != now.version) return outdated();
    if (change.settings.agent != now.settings.agent) {
      const auto agent = find<Agent>(keys::agent(change.settings.agent.text));
      if (!agent) return agent.error();
      if (!agent->has_value()) return unknown_agent();
      batch_.Delete(platform_, keys::session_of(now.settings.agent.text, now.id.text));
    }
    now.settings = std::move(change.settings);
    now.updated_at = change.now;
    ++now.version;
    put(now);
    CatalogOutcome outcome;
    set(outcome, std::move(now));
    return outcome;
  }

  Outcome make(DeleteAgent& change) {
    const auto agent = find<Agent>(keys::agent(change.id.text));
    if (!agent) return agent.error();
    if (!agent->has_value()) return no_such_agent();
    if (change.if_version && *change.if_version != (*agent)->version) return outdated();
    auto sessions = sessions_of(change.id, change.cascade);
    if (!sessions) return sessions.error();
    if (!sessions->empty() && !change.cascade) {
      return Error{Errc::failed_precondition,
                   "the agent has sessions; delete them first, or with it by cascade=true"};
    }
    for (const SessionId& session : *sessions) {
      if (const Status removed = remove(change.id, session); !removed) return removed.error();
    }
    batch_.Delete(platform_, keys::agent(change.id.text));
    if (const Status forgotten = forget_request(kAgents, change.id.text); !forgotten) {
      return forgotten.error();
    }
    CatalogOutcome outcome;
    outcome.deleted = std::move(*sessions);
    return outcome;
  }

  Outcome make(DeleteSession& change) {
    const auto session = find<PlatformSession>(keys::platform_session(change.id.text));
    if (!session) return session.error();
    if (!session->has_value()) return no_such_session();
    if (change.if_version && *change.if_version != (*session)->version) return outdated();
    const Status removed = remove((*session)->settings.agent, change.id);
    if (!removed) return removed.error();
    CatalogOutcome outcome;
    outcome.deleted.push_back(change.id);
    return outcome;
  }

 private:
  static Error unknown_agent() {
    return {Errc::unprocessable, "/agent_id: there is no agent with this id"};
  }

  static void set(CatalogOutcome& outcome, Agent agent) {
    outcome.agent = std::make_shared<Agent>(std::move(agent));
  }
  static void set(CatalogOutcome& outcome, PlatformSession session) {
    outcome.session = std::make_shared<PlatformSession>(std::move(session));
  }

  Result<std::optional<std::string>> get(const std::string& key) {
    std::string bytes;
    const auto status = batch_.GetFromBatchAndDB(&db_, {}, platform_, key, &bytes);
    if (status.IsNotFound()) return std::optional<std::string>{};
    if (!status.ok()) return to_error(status, "reading agents and sessions");
    return std::optional<std::string>{std::move(bytes)};
  }

  template <class Record>
  Result<std::optional<Record>> find(const std::string& key) {
    const auto bytes = get(key);
    if (!bytes) return bytes.error();
    if (!bytes->has_value()) return std::optional<Record>{};
    auto record = decode_as<Record>(**bytes);
    if (!record) return record.error();
    return std::optional<Record>{std::move(*record)};
  }

  /// What an earlier request with this one's key made; nothing: there is none.
  template <class Record>
  Result<std::optional<Record>> find_repeated(char kind, const RepeatableRequest& request) {
    if (request.key.empty()) return std::optional<Record>{};
    const auto bytes = get(keys::request(kind, request.key));
    if (!bytes) return bytes.error();
    if (!bytes->has_value()) return std::optional<Record>{};
    const std::string_view known = **bytes;
    if (known.substr(0, kDigestBytes) != request.digest) {
      return Error{Errc::already_exists, "this Idempotency-Key was used with another request"};
    }
    auto record = decode_as<Record>(known.substr(kDigestBytes));
    if (!record) return record.error();
    return std::optional<Record>{std::move(*record)};
  }

  template <class Record>
  Outcome create(char kind, Record& record, const RepeatableRequest& request,
                 std::optional<Record> first) {
    if (!first) {
      auto repeated = find_repeated<Record>(kind, request);
      if (!repeated) return repeated.error();
      first = std::move(*repeated);
    }
    CatalogOutcome outcome;
    outcome.replayed = first.has_value();
    if (first) {
      set(outcome, std::move(*first));
      return outcome;
    }
    put(record);
    if (!request.key.empty()) {
      batch_.Put(platform_, keys::request(kind, request.key), request.digest + encode(record));
      batch_.Put(platform_, keys::request_of(record.id.text), request.key);
    }
    if constexpr (std::is_same_v<Record, PlatformSession>) {
      ClientRecord client;
      client.scope = Scope::platform;
      client.state = LifecycleState::initialized;
      client.created_at = record.created_at;
      batch_.Put(ids_, keys::client(record.id), encode(client));
    }
    set(outcome, std::move(record));
    return outcome;
  }

  void put(const Agent& agent) { batch_.Put(platform_, keys::agent(agent.id.text), encode(agent)); }
  void put(const PlatformSession& session) {
    batch_.Put(platform_, keys::platform_session(session.id.text), encode(session));
    batch_.Put(platform_, keys::session_of(session.settings.agent.text, session.id.text), "");
  }

  Status remove(const AgentId& agent, const SessionId& session) {
    batch_.Delete(platform_, keys::platform_session(session.text));
    batch_.Delete(platform_, keys::session_of(agent.text, session.text));
    batch_.Put(documents_, keys::set(keys::kBegunPrefix, session, kDeletedSession), "");
    return forget_request(kSessions, session.text);
  }

  /// What is kept for repeats of the request that made `id` holds what it made.
  Status forget_request(char kind, const std::string& id) {
    const auto key = get(keys::request_of(id));
    if (!key) return key.error();
    if (!key->has_value()) return {};
    batch_.Delete(platform_, keys::request(kind, **key));
    batch_.Delete(platform_, keys::request_of(id));
    return {};
  }

  /// One of them is enough where not `all` are asked for.
  Result<std::vector<SessionId>> sessions_of(const AgentId& agent, bool all) {
    std::vector<SessionId> sessions;
    const std::string prefix = keys::sessions_of(agent.text);
    const std::unique_ptr<rocksdb::Iterator> it(
        batch_.NewIteratorWithBase(platform_, db_.NewIterator({}, platform_)));
    for (it->Seek(prefix); it->Valid() && it->key().starts_with(prefix); it->Next()) {
      sessions.push_back({std::string(view(it->key()).substr(prefix.size()))});
      if (!all) break;
    }
    if (!it->status().ok()) return to_error(it->status(), "reading an agent's sessions");
    return sessions;
  }

  rocksdb::DB& db_;
  rocksdb::ColumnFamilyHandle* platform_;
  rocksdb::ColumnFamilyHandle* ids_;
  rocksdb::ColumnFamilyHandle* documents_;
  rocksdb::WriteBatchWithIndex batch_{rocksdb::BytewiseComparator(), 0, true};
};

/// The ids in the keys that begin with `prefix`, newest first: under `before` where that is given.
Result<std::vector<std::string>> newest_ids(rocksdb::DB& db, rocksdb::ColumnFamilyHandle* family,
                                            const rocksdb::ReadOptions& options,
                                            const std::string& prefix, const ListRange& range) {
  std::vector<std::string> ids;
  const std::unique_ptr<rocksdb::Iterator> it(db.NewIterator(options, family));
  const std::string end = range.before.empty() ? keys::past(prefix) : prefix + range.before;
  it->SeekForPrev(end);
  if (it->Valid() && it->key() == end) it->Prev();
  for (; it->Valid() && it->key().starts_with(prefix) && ids.size() < range.limit; it->Prev()) {
    ids.emplace_back(view(it->key()).substr(prefix.size()));
  }
  if (!it->status().ok()) return to_error(it->status(), "listing agents or sessions");
  return ids;
}

template <class Record>
Result<Record> read_record(rocksdb::DB& db, rocksdb::ColumnFamilyHandle* family,
                           const std::string& key, const rocksdb::ReadOptions& options,
                           const Error& absent) {
  rocksdb::PinnableSlice bytes;
  const auto status = db.Get(options, family, key, &bytes);
  if (status.IsNotFound()) return absent;
  if (!status.ok()) return to_error(status, "reading agents and sessions");
  return decode_as<Record>(view(bytes));
}

/// The records of `kind` that the ids after `prefix` name, all as they were at one time: one that
/// is deleted meanwhile must not make a page look like the last.
template <class Record>
Result<std::vector<Record>> list_records(rocksdb::DB& db, rocksdb::ColumnFamilyHandle* family,
                                         char kind, const std::string& prefix,
                                         const ListRange& range) {
  rocksdb::ManagedSnapshot snapshot(&db);
  rocksdb::ReadOptions options;
  options.snapshot = snapshot.snapshot();
  const auto ids = newest_ids(db, family, options, prefix, range);
  if (!ids) return ids.error();
  std::vector<Record> records;
  for (const std::string& id : *ids) {
    auto record = read_record<Record>(db, family, kind + id, options, no_such_agent());
    if (!record) return record.error();
    records.push_back(std::move(*record));
  }
  return records;
}

rocksdb::ReadOptions memory_only() {
  rocksdb::ReadOptions options;
  options.read_tier = rocksdb::kBlockCacheTier;
  return options;
}

}  // namespace

Result<std::vector<Outcome>> Store::change_catalog(std::span<CatalogChange> changes) {
  if (refuses_writes()) {
    return Error{Errc::unavailable, "the store refuses writes since an earlier one failed"};
  }
  Changes group(*db_, platform_, ids_, documents_);
  std::vector<Outcome> outcomes;
  outcomes.reserve(changes.size());
  for (CatalogChange& change : changes) {
    outcomes.push_back(std::visit([&](auto& each) { return group.make(each); }, change));
  }
  if (group.batch().Count() == 0) return outcomes;
  rocksdb::WriteOptions write;
  write.sync = true;
  const auto status = db_->Write(write, &group.batch());
  if (status.ok()) return outcomes;
  failed_.store(true, std::memory_order_release);
  return to_error(status, "making changes of agents and sessions durable");
}

Result<Agent> Store::agent(const AgentId& id) const {
  return read_record<Agent>(*db_, platform_, keys::agent(id.text), {}, no_such_agent());
}

Result<PlatformSession> Store::platform_session(const SessionId& id) const {
  return read_record<PlatformSession>(*db_, platform_, keys::platform_session(id.text), {},
                                      no_such_session());
}

std::optional<Agent> Store::agent_in_memory(const AgentId& id) const {
  auto agent =
      read_record<Agent>(*db_, platform_, keys::agent(id.text), memory_only(), no_such_agent());
  return agent ? std::optional(std::move(*agent)) : std::nullopt;
}

std::optional<PlatformSession> Store::platform_session_in_memory(const SessionId& id) const {
  auto session = read_record<PlatformSession>(*db_, platform_, keys::platform_session(id.text),
                                              memory_only(), no_such_session());
  return session ? std::optional(std::move(*session)) : std::nullopt;
}

Result<Agent> Store::agent_of(const SessionId& id) const {
  const auto session = platform_session(id);
  if (!session) return session.error();
  return agent(session->settings.agent);
}

Result<std::vector<Agent>> Store::agents(const ListRange& range) const {
  return list_records<Agent>(*db_, platform_, kAgents, std::string(1, kAgents), range);
}

Result<std::vector<PlatformSession>> Store::platform_sessions(
    const ListRange& range, const std::optional<AgentId>& agent) const {
  const std::string prefix = agent ? keys::sessions_of(agent->text) : std::string(1, kSessions);
  return list_records<PlatformSession>(*db_, platform_, kSessions, prefix, range);
}

}  // namespace parlance::storage
