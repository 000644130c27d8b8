#include "storage/store.h"

#include <algorithm>
#include <filesystem>

#include <rocksdb/db.h>
#include <rocksdb/perf_level.h>
#include <rocksdb/write_batch.h>

#include "base/check.h"
#include "schemas/codec.h"
#include "schemas/record_codec.h"
#include "storage/engine.h"
#include "storage/keys.h"
#include "storage/migrations.h"

namespace parlance::storage {
namespace {

std::string_view digest_of(const MessageAccepted& message) {
  return message.voice ? std::string_view(message.voice->digest) : std::string_view();
}

/// True when `second` is the first message again, and says the same.
Result<bool> same_message(std::string_view first_bytes, const AppendRecord& repeat) {
  const auto first = decode(first_bytes);
  const auto second = decode(repeat.bytes);
  if (!first) return first.error();
  if (!second) return second.error();
  const auto* a = std::get_if<MessageAccepted>(&first->event);
  const auto* b = std::get_if<MessageAccepted>(&second->event);
  return a != nullptr && b != nullptr && a->text == b->text && a->retry_of == b->retry_of &&
         digest_of(*a) == digest_of(*b) && (repeat.drawn_id || a->message_id == b->message_id);
}

/// One session's events, walked through an iterator that stays inside the session's keys.
class EventIterator {
 public:
  EventIterator(rocksdb::DB& db, const SessionId& session, std::uint64_t epoch)
      : prefix_(keys::prefix('e', session)), upper_(prefix_), upper_slice_(), epoch_(epoch) {
    upper_.back() = 1;  // The byte after the separator: past every key of this session.
    upper_slice_ = upper_;
    lower_slice_ = prefix_;
    rocksdb::ReadOptions read;
    read.iterate_lower_bound = &lower_slice_;
    read.iterate_upper_bound = &upper_slice_;
    it_.reset(db.NewIterator(read));
  }

  void seek(EventSeq seq) {
    std::string key = prefix_;
    keys::append_be64(key, seq);
    it_->Seek(key);
  }
  void seek_last() { it_->SeekToLast(); }
  void seek_before(EventSeq seq) {
    std::string key = prefix_;
    keys::append_be64(key, seq == 0 ? 0 : seq - 1);
    it_->SeekForPrev(key);
  }
  bool valid() const { return it_->Valid(); }
  void next() { it_->Next(); }
  void previous() { it_->Prev(); }
  EventSeq seq() const { return keys::last_be64(view(it_->key())); }
  std::size_t bytes() const { return it_->value().size(); }

  Result<RecordedEvent> event() const {
    auto decoded = decode(view(it_->value()));
    if (!decoded) return decoded.error();
    return RecordedEvent{{epoch_, seq()}, decoded->time, std::move(decoded->event)};
  }
  Status status() const {
    if (!it_->status().ok()) return to_error(it_->status(), "reading a session's log");
    return {};
  }

 private:
  std::string prefix_;
  std::string upper_;
  rocksdb::Slice upper_slice_;
  rocksdb::Slice lower_slice_;
  std::uint64_t epoch_;
  std::unique_ptr<rocksdb::Iterator> it_;
};

}  // namespace

std::size_t AppendRequest::bytes() const noexcept {
  std::size_t sum = partial ? partial->text.size() : 0;
  for (const AppendRecord& record : records) sum += record.bytes.size();
  return sum;
}

Store::Store(std::unique_ptr<Engine> engine, std::uint64_t epoch)
    : engine_(std::move(engine)),
      db_(engine_->db.get()),
      ids_(engine_->family(keys::kIdFamily)),
      documents_(engine_->family(keys::kDocumentFamily)),
      platform_(engine_->family(keys::kPlatformFamily)),
      epoch_(epoch) {}

Store::~Store() = default;

Result<std::unique_ptr<Store>> Store::open(const Options& options, OldLayout old) {
  auto opened = open_newest(options, old, migrations());
  if (!opened) return opened.error();
  return std::unique_ptr<Store>(new Store(std::move(opened->engine), opened->epoch));
}

/// Where a record goes, and whether its key is one more name for the first of its id.
struct Store::Placed {
  RecordOutcome outcome;
  bool adds_key = false;
};

/// The durable message that `record` repeats, by id or by key.
Result<std::optional<Store::Placed>> Store::find_first(const SessionId& session,
                                                       const AppendRecord& record) const {
  std::string by_id;
  std::string by_key;
  const auto id_found = db_->Get({}, ids_, keys::message(session, record.message_id), &by_id);
  auto key_found = rocksdb::Status::NotFound();
  if (!record.idempotency_key.empty()) {
    key_found = db_->Get({}, ids_, keys::idempotency(session, record.idempotency_key), &by_key);
  }
  for (const rocksdb::Status& status : {id_found, key_found}) {
    if (!status.ok() && !status.IsNotFound()) return to_error(status, "looking up a message id");
  }
  if (!id_found.ok() && !key_found.ok()) return std::optional<Placed>{};

  const EventSeq seq = keys::last_be64(id_found.ok() ? by_id : by_key);
  if (id_found.ok() && key_found.ok() && by_id != by_key) {
    return std::optional<Placed>{{{seq, true, false}, false}};  // The key is another message's.
  }
  std::string bytes;
  const auto status = db_->Get({}, keys::event(session, seq), &bytes);
  if (!status.ok()) return to_error(status, "reading the first message of an id");
  const auto same = same_message(bytes, record);
  if (!same) return same.error();
  const bool adds_key = *same && !record.idempotency_key.empty() && !key_found.ok();
  return std::optional<Placed>{{{seq, true, *same}, adds_key}};
}

/// What each record of `request` comes to. Reads only, so a failure leaves the group as it is.
Result<std::vector<Store::Placed>> Store::place(const AppendRequest& request) const {
  std::vector<Placed> placed;
  placed.reserve(request.records.size());
  EventSeq seq = request.last;
  for (const AppendRecord& record : request.records) {
    if (record.message_id.empty()) {
      placed.push_back({{++seq, false, false}, false});
      continue;
    }
    auto first = find_first(request.session, record);
    if (!first) return first.error();
    // Or it is a repeat of one beside it.
    for (std::size_t i = 0; i < placed.size() && !first->has_value(); ++i) {
      const AppendRecord& other = request.records[i];
      const bool same_name =
          other.message_id == record.message_id ||
          (!record.idempotency_key.empty() && other.idempotency_key == record.idempotency_key);
      if (!same_name || other.message_id.empty() || !placed[i].outcome.recorded()) continue;
      const auto same = same_message(other.bytes, record);
      if (!same) return same.error();
      *first = Placed{{placed[i].outcome.seq, true, *same}, false};
    }
    if (first->has_value()) {
      placed.push_back(**first);
    } else if (record.only_if_known) {
      placed.emplace_back();
    } else {
      placed.push_back({{++seq, false, false}, false});
    }
  }
  return placed;
}

void Store::add_to_batch(const AppendRequest& request, std::span<const Placed> placed) {
  rocksdb::WriteBatch& batch = engine_->batch;
  std::optional<EventSeq> unfinished = request.unfinished;
  for (std::size_t i = 0; i < placed.size(); ++i) {
    const AppendRecord& record = request.records[i];
    const RecordOutcome& outcome = placed[i].outcome;
    if (placed[i].adds_key || (outcome.recorded() && !record.idempotency_key.empty())) {
      batch.Put(ids_, keys::idempotency(request.session, record.idempotency_key),
                keys::be64(outcome.seq));
    }
    if (!outcome.recorded()) continue;
    batch.Put(keys::event(request.session, outcome.seq), record.bytes);
    if (record.message_id.empty()) continue;
    batch.Put(ids_, keys::message(request.session, record.message_id), keys::be64(outcome.seq));
    if (!unfinished) unfinished = outcome.seq;
  }
  if (!request.records.empty() && unfinished != request.unfinished_before) {
    if (unfinished) {
      batch.Put(keys::unfinished(request.session), keys::be64(*unfinished));
    } else {
      batch.Delete(keys::unfinished(request.session));
    }
  }
  if (request.beside) add_to_batch(request.session, *request.beside, request.last);
  for (std::uint32_t part = 0; part < request.parts_dropped; ++part) {
    batch.Delete(keys::part(request.session, part));
  }
  if (request.partial) {
    if (request.partial->part == 1) {
      batch.Put(keys::part(request.session, 0), request.partial->message_id.text);
    }
    batch.Put(keys::part(request.session, request.partial->part), request.partial->text);
  }
}

Result<std::vector<AppendOutcome>> Store::append(std::span<const AppendRequest> requests) {
  if (refuses_writes()) {
    return Error{Errc::unavailable, "the store refuses writes since an earlier one failed"};
  }
  // Counters that nobody here reads, and that cost some percent of every write.
  rocksdb::SetPerfLevel(rocksdb::PerfLevel::kDisable);
  engine_->batch.Clear();
  std::vector<AppendOutcome> outcomes;
  outcomes.reserve(requests.size());
  for (const AppendRequest& request : requests) {
    const auto placed = place(request);
    if (!placed) {
      outcomes.emplace_back(placed.error());
      continue;
    }
    add_to_batch(request, *placed);
    std::vector<RecordOutcome>& of_request = *outcomes.emplace_back(std::vector<RecordOutcome>());
    of_request.reserve(placed->size());
    for (const Placed& each : *placed) of_request.push_back(each.outcome);
  }
  if (engine_->batch.Count() == 0) return outcomes;
  rocksdb::WriteOptions write;
  write.sync = true;
  const auto status = db_->Write(write, &engine_->batch);
  if (!status.ok()) {
    failed_.store(true, std::memory_order_release);
    return to_error(status, "making a group durable");
  }
  return outcomes;
}

bool Store::surely_new(const SessionId& session, std::string_view message_id,
                       std::string_view idempotency_key) const {
  rocksdb::ReadOptions memory_only;
  memory_only.read_tier = rocksdb::kBlockCacheTier;
  rocksdb::PinnableSlice ignored;
  const auto lacks = [&](const std::string& key) {
    return db_->Get(memory_only, ids_, key, &ignored).IsNotFound();
  };
  return lacks(keys::message(session, message_id)) &&
         (idempotency_key.empty() || lacks(keys::idempotency(session, idempotency_key)));
}

bool Store::surely_empty(const SessionId& session) const {
  rocksdb::ReadOptions memory_only;
  memory_only.read_tier = rocksdb::kBlockCacheTier;
  rocksdb::PinnableSlice ignored;
  // A log whose beginning was erased has a client's record.
  const auto status =
      db_->Get(memory_only, db_->DefaultColumnFamily(), keys::event(session, 1), &ignored);
  // So has a client that was imported, whose log has not begun.
  return status.IsNotFound() &&
         db_->Get(memory_only, ids_, keys::client(session), &ignored).IsNotFound();
}

Result<EventPage> Store::read(const SessionId& session, const ReadEvents& range) const {
  EventPage page;
  EventIterator it(*db_, session, epoch_);
  it.seek_last();
  if (auto status = it.status(); !status) return status.error();
  page.last = {epoch_, it.valid() ? it.seq() : 0};
  const bool backward = range.from_end || range.before.has_value();
  if (!backward) {
    if (range.after >= page.last.seq) return page;
    it.seek(range.after + 1);
  } else if (range.before) {
    it.seek_before(*range.before);
    if (*range.before == 0) return page;
  }
  std::size_t bytes = 0;
  while (it.valid() && page.events.size() < range.events_max) {
    if (!page.events.empty() && bytes + it.bytes() > range.bytes_max) break;
    bytes += it.bytes();
    auto event = it.event();
    if (!event) return event.error();
    page.events.push_back(std::move(*event));
    backward ? it.previous() : it.next();
  }
  if (auto status = it.status(); !status) return status.error();
  if (backward) std::reverse(page.events.begin(), page.events.end());
  return page;
}

Result<SessionImage> Store::load(const SessionId& session, std::size_t tail_bytes_max) const {
  SessionImage image;
  auto client = this->client(session);
  if (!client) return client.error();
  image.client = std::move(*client);
  std::string value;
  auto status = db_->Get({}, keys::unfinished(session), &value);
  if (status.ok()) {
    image.unfinished = keys::last_be64(value);
  } else if (!status.IsNotFound()) {
    return to_error(status, "reading what is unfinished");
  }
  EventIterator it(*db_, session, epoch_);
  it.seek_last();
  image.last = {epoch_, it.valid() ? it.seq() : 0};
  std::size_t bytes = 0;
  for (; it.valid(); it.previous()) {
    const bool needed = image.unfinished && it.seq() >= *image.unfinished;
    if (!needed && bytes + it.bytes() > tail_bytes_max) break;
    bytes += it.bytes();
    auto event = it.event();
    if (!event) return event.error();
    image.events.push_back(std::move(*event));
  }
  if (auto ok = it.status(); !ok) return ok.error();
  std::reverse(image.events.begin(), image.events.end());
  if (!image.unfinished) return image;

  for (std::uint32_t part = 0;; ++part) {
    status = db_->Get({}, keys::part(session, part), &value);
    if (status.IsNotFound()) break;
    if (!status.ok()) return to_error(status, "reading an answer in progress");
    image.partial_parts = part + 1;
    part == 0 ? image.partial_message.text = value : image.partial_text += value;
  }
  return image;
}

Result<StorageView> Store::usage() const {
  StorageView view;
  view.refuses_writes = refuses_writes();
  const auto total = [this](const std::string& property, std::uint64_t& out) {
    return db_->GetAggregatedIntProperty(property, &out);
  };
  using Properties = rocksdb::DB::Properties;
  if (!total(Properties::kLiveSstFilesSize, view.file_bytes) ||
      !total(Properties::kCurSizeAllMemTables, view.memory_bytes) ||
      !total(Properties::kEstimatePendingCompactionBytes, view.compaction_pending_bytes) ||
      // Of the whole database, whichever family is asked.
      !db_->GetIntProperty(Properties::kNumRunningCompactions, &view.compactions_running)) {
    return Error{Errc::unavailable, "asking the store how much it takes: it does not know"};
  }
  // Listing them needs the directory; what else is known is wanted most where that is in trouble.
  rocksdb::VectorLogPtr logs;
  if (db_->GetSortedWalFiles(logs).ok()) {
    view.log_bytes = 0;
    for (const auto& log : logs) *view.log_bytes += log->SizeFileBytes();
  }
  std::error_code error;
  const std::filesystem::space_info disk = std::filesystem::space(db_->GetName(), error);
  if (!error) {
    view.disk_free_bytes = disk.available;
    view.disk_bytes = disk.capacity;
  }
  return view;
}

Result<std::vector<SessionId>> Store::unfinished_sessions() const {
  std::vector<SessionId> out;
  const std::string upper(1, static_cast<char>(keys::kUnfinishedPrefix + 1));
  const rocksdb::Slice upper_slice(upper);
  rocksdb::ReadOptions read;
  read.iterate_upper_bound = &upper_slice;
  const std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(read));
  for (it->Seek(rocksdb::Slice(&keys::kUnfinishedPrefix, 1)); it->Valid(); it->Next()) {
    out.push_back({std::string(view(it->key()).substr(1))});
  }
  if (!it->status().ok()) return to_error(it->status(), "looking for unfinished runs");
  return out;
}

}  // namespace parlance::storage
