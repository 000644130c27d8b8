// The part of the store that keeps clients, documents and their passages.
#include <map>

#include "schemas/codec.h"
#include "schemas/record_codec.h"
#include "storage/engine.h"
#include "storage/keys.h"
#include "storage/store.h"

namespace parlance::storage {

PrefixIterator::PrefixIterator(rocksdb::DB& db, rocksdb::ColumnFamilyHandle* family,
                               std::string prefix)
    : prefix_(std::move(prefix)), upper_(keys::past(prefix_)), upper_slice_(upper_) {
  rocksdb::ReadOptions read;
  read.iterate_upper_bound = &upper_slice_;
  it_.reset(db.NewIterator(read, family));
}

Status PrefixIterator::status(std::string_view doing) const {
  if (!it_->status().ok()) return to_error(it_->status(), doing);
  return {};
}

// ---- Writing ----

void Store::drop_set(const SessionId& session, std::uint64_t set) {
  for (const char kind : {'v', 'w'}) {
    const std::string begin = keys::set(kind, session, set);
    engine_->batch.DeleteRange(documents_, begin, keys::past(begin));
  }
}

void Store::add_to_batch(const SessionId& session, const Beside& beside, EventSeq last) {
  rocksdb::WriteBatch& batch = engine_->batch;
  if (beside.erase) {
    const bool of_platform = beside.client && beside.client->scope == Scope::platform;
    erase(session, of_platform ? 1 : 2, last);
    batch.Put(documents_, keys::set(keys::kBegunPrefix, session, kErasedBytes), "");
  }
  if (beside.client) batch.Put(ids_, keys::client(session), encode(*beside.client));
  if (beside.begun_set) {
    batch.Put(documents_, keys::set(keys::kBegunPrefix, session, *beside.begun_set), "");
  }
  if (beside.stored_set) {
    const DocumentSet& set = *beside.stored_set;
    batch.Put(documents_, keys::set('d', session, set.number), encode(set));
    for (const Document& document : set.documents) {
      batch.Put(ids_, keys::document_id(session, document.id), keys::be64(set.number));
    }
    batch.Delete(documents_, keys::set(keys::kBegunPrefix, session, set.number));
  }
  // Who drops it also removes the mark of its beginning, once nothing of it is left anywhere.
  if (beside.dropped_set) drop_set(session, *beside.dropped_set);
}

/// Key by key where new keys are put by hints: this version of RocksDB takes the hint of a key for
/// that of a range, and ends the process. There are few such keys beside the passages.
void Store::erase(const SessionId& session, EventSeq first, EventSeq last) {
  rocksdb::WriteBatch& batch = engine_->batch;
  const auto erase_kind = [&](rocksdb::ColumnFamilyHandle* family, char kind) {
    PrefixIterator it(*db_, family, keys::prefix(kind, session));
    for (it.seek_first(); it.valid(); it.next()) batch.Delete(family, slice(it.key()));
  };
  for (const char kind : {'m', 'k', 'n'}) erase_kind(ids_, kind);
  erase_kind(db_->DefaultColumnFamily(), 'p');
  for (EventSeq seq = first; seq <= last; ++seq) batch.Delete(keys::event(session, seq));
  for (const char kind : {'d', 'v', 'w', keys::kBegunPrefix}) {
    const std::string begin = keys::prefix(kind, session);
    batch.DeleteRange(documents_, begin, keys::past(begin));
  }
}

Status Store::write_passages(const PassageBatch& group) {
  if (refuses_writes()) {
    return Error{Errc::unavailable, "the store refuses writes since an earlier one failed"};
  }
  rocksdb::WriteBatch batch;
  for (std::size_t i = 0; i < group.passages.size(); ++i) {
    const auto index = group.first + static_cast<std::uint32_t>(i);
    batch.Put(documents_, keys::passage(group.session, group.set, index), group.passages[i]);
    for (std::size_t tool = 0; tool < group.vectors.size(); ++tool) {
      batch.Put(documents_,
                keys::vector(group.session, group.set, static_cast<std::uint8_t>(tool), index),
                group.vectors[tool][i]);
    }
  }
  // Synced, though nobody waits for it: else the next group of others would wait for all of it.
  rocksdb::WriteOptions write;
  write.sync = true;
  const auto status = db_->Write(write, &batch);
  if (status.ok()) return {};
  failed_.store(true, std::memory_order_release);
  return to_error(status, "writing passages");
}

Status Store::drop_begun_set(const BegunSet& begun) {
  rocksdb::WriteBatch& batch = engine_->batch;
  batch.Clear();
  drop_set(begun.session, begun.set);
  batch.Delete(documents_, keys::set(keys::kBegunPrefix, begun.session, begun.set));
  const auto status = db_->Write({}, &batch);
  if (!status.ok()) return to_error(status, "removing an unfinished set of documents");
  return {};
}

Result<std::vector<BegunSet>> Store::begun_sets(const SessionId* session) const {
  std::vector<BegunSet> sets;
  PrefixIterator it(*db_, documents_,
                    session != nullptr ? keys::prefix(keys::kBegunPrefix, *session)
                                       : std::string(1, keys::kBegunPrefix));
  for (it.seek_first(); it.valid(); it.next()) {
    const std::string_view key = it.key();
    constexpr std::size_t kBesideTheSession = 1 + 1 + 8;
    sets.push_back(
        {{std::string(key.substr(1, key.size() - kBesideTheSession))}, keys::last_be64(key)});
  }
  if (const Status ok = it.status("looking for unfinished documents"); !ok) return ok.error();
  return sets;
}

Result<std::size_t> Store::scrub(std::span<const SessionId> sessions,
                                 const std::function<bool()>& go_on) const {
  // Flushing all families ends the log files that hold what was removed.
  rocksdb::FlushOptions flush;
  std::vector<rocksdb::ColumnFamilyHandle*> families;
  for (const auto& [name, family] : engine_->families) families.push_back(family);
  auto status = db_->Flush(flush, families);
  rocksdb::CompactRangeOptions compact;
  compact.exclusive_manual_compaction = false;
  compact.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForceOptimized;
  const auto compact_kind = [&](rocksdb::ColumnFamilyHandle* family, const SessionId& session,
                                char kind) {
    if (!status.ok()) return;
    const std::string begin = keys::prefix(kind, session);
    const std::string end = keys::past(begin);
    const rocksdb::Slice from(begin);
    const rocksdb::Slice to(end);
    status = db_->CompactRange(compact, family, &from, &to);
  };
  std::size_t done = 0;
  for (; done < sessions.size() && status.ok() && go_on(); ++done) {
    const SessionId& session = sessions[done];
    for (const char kind : {'m', 'k', 'n'}) compact_kind(ids_, session, kind);
    for (const char kind : {'d', 'v', 'w'}) compact_kind(documents_, session, kind);
    for (const char kind : {'e', 'p'}) compact_kind(db_->DefaultColumnFamily(), session, kind);
  }
  if (!status.ok()) return to_error(status, "removing erased bytes from the files");
  return done;
}

Result<bool> Store::add_client(const SessionId& session, const ClientRecord& client) {
  const auto known = this->client(session);
  if (!known) return known.error();
  if (known->has_value()) return false;
  rocksdb::WriteOptions write;
  write.sync = true;
  const auto status = db_->Put(write, ids_, keys::client(session), encode(client));
  if (!status.ok()) return to_error(status, "keeping a client");
  return true;
}

// ---- Reading ----

Result<std::optional<ClientRecord>> Store::client(const SessionId& session) const {
  std::string bytes;
  const auto status = db_->Get({}, ids_, keys::client(session), &bytes);
  if (status.IsNotFound()) return std::optional<ClientRecord>{};
  if (!status.ok()) return to_error(status, "reading a client");
  auto client = decode_client(bytes);
  if (!client) return client.error();
  return std::optional<ClientRecord>{std::move(*client)};
}

Result<std::vector<SessionId>> Store::temporary_clients(WallTime made_before) const {
  std::vector<SessionId> sessions;
  PrefixIterator it(*db_, ids_, keys::client({}));
  for (it.seek_first(); it.valid(); it.next()) {
    const auto client = decode_client(it.value());
    if (!client) return client.error();
    if (client->scope == Scope::temporary && client->state != LifecycleState::deactivated &&
        client->created_at.ms < made_before.ms) {
      sessions.push_back({std::string(it.key().substr(1))});
    }
  }
  if (const Status ok = it.status("looking for temporary clients"); !ok) return ok.error();
  return sessions;
}

Result<std::vector<DocumentSet>> Store::document_sets(const SessionId& session,
                                                      std::uint64_t after) const {
  std::vector<DocumentSet> sets;
  PrefixIterator it(*db_, documents_, keys::prefix('d', session));
  for (it.seek(keys::set('d', session, after + 1)); it.valid(); it.next()) {
    auto set = decode_document_set(it.value());
    if (!set) return set.error();
    sets.push_back(std::move(*set));
  }
  if (const Status ok = it.status("reading a session's documents"); !ok) return ok.error();
  return sets;
}

Result<bool> Store::has_document(const SessionId& session, std::string_view document_id) const {
  rocksdb::PinnableSlice ignored;
  const auto status = db_->Get({}, ids_, keys::document_id(session, document_id), &ignored);
  if (!status.ok() && !status.IsNotFound()) return to_error(status, "looking up a document's id");
  return status.ok();
}

Result<std::optional<RecordedEvent>> Store::event_of_key(const SessionId& session,
                                                         std::string_view key) const {
  std::string bytes;
  auto status = db_->Get({}, ids_, keys::idempotency(session, key), &bytes);
  if (status.IsNotFound()) return std::optional<RecordedEvent>{};
  if (!status.ok()) return to_error(status, "looking up an idempotency key");
  const EventSeq seq = keys::last_be64(bytes);
  status = db_->Get({}, keys::event(session, seq), &bytes);
  if (!status.ok()) return to_error(status, "reading what an idempotency key stands for");
  auto decoded = decode(bytes);
  if (!decoded) return decoded.error();
  return std::optional<RecordedEvent>{{{epoch_, seq}, decoded->time, std::move(decoded->event)}};
}

Status Store::read_passages(const SessionId& session, std::uint64_t set, std::uint8_t tool,
                            std::uint32_t first,
                            const std::function<bool(StoredPassage)>& each) const {
  std::string vectors_of_tool = keys::set('w', session, set);
  vectors_of_tool += static_cast<char>(tool);
  PrefixIterator passages(*db_, documents_, keys::set('v', session, set));
  PrefixIterator vectors(*db_, documents_, vectors_of_tool);
  vectors.seek(keys::vector(session, set, tool, first));
  for (passages.seek(keys::passage(session, set, first)); passages.valid(); passages.next()) {
    auto passage = decode_passage(passages.value());
    if (!passage) return passage.error();
    StoredPassage stored{{set, keys::last_be32(passages.key())}, std::move(*passage), {}};
    if (vectors.valid() && keys::last_be32(vectors.key()) == stored.id.index) {
      stored.vector = vectors.value();
      vectors.next();
    }
    if (!each(std::move(stored))) break;
  }
  if (Status ok = passages.status("reading passages"); !ok) return ok;
  return vectors.status("reading the embeddings of passages");
}

Result<std::vector<PassageText>> Store::passage_texts(const SessionId& session,
                                                      std::span<const PassageId> ids) const {
  std::map<std::uint64_t, std::optional<DocumentSet>> sets;
  std::vector<PassageText> out;
  std::string bytes;
  for (const PassageId& id : ids) {
    const auto [found, is_new] = sets.try_emplace(id.set);
    if (is_new) {
      const auto status = db_->Get({}, documents_, keys::set('d', session, id.set), &bytes);
      if (!status.ok() && !status.IsNotFound()) return to_error(status, "reading documents");
      if (status.ok()) {
        auto set = decode_document_set(bytes);
        if (!set) return set.error();
        found->second = std::move(*set);
      }
    }
    if (!found->second) continue;
    const auto status = db_->Get({}, documents_, keys::passage(session, id.set, id.index), &bytes);
    if (status.IsNotFound()) continue;
    if (!status.ok()) return to_error(status, "reading a passage");
    auto passage = decode_passage(bytes);
    if (!passage) return passage.error();
    if (passage->document >= found->second->documents.size()) {
      return Error{Errc::corrupted, "a passage of a document that its set does not have"};
    }
    const Document& document = found->second->documents[passage->document];
    out.push_back({id, document.id, document.name, document.metadata, passage->begin, passage->end,
                   std::move(passage->text)});
  }
  return out;
}

}  // namespace parlance::storage
