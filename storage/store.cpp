#include "storage/store.h"

#include <algorithm>
#include <charconv>
#include <cstdarg>
#include <cstdio>
#include <system_error>

#include <fmt/format.h>
#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/perf_level.h>
#include <rocksdb/slice_transform.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>
#include <sys/stat.h>

#include "base/check.h"
#include "base/log.h"
#include "base/random.h"
#include "schemas/codec.h"
#include "schemas/record_codec.h"
#include "storage/engine.h"
#include "storage/keys.h"

namespace parlance::storage {
namespace {

constexpr std::uint64_t kSchemaVersion = 2;

/// Passes the engine's warnings to the process's log. Its own log, a file beside the data, must not
/// be: where a line of that cannot be written, on a full disk, Debian's build of the engine ends
/// the process with an assertion at the next one.
class EngineLog final : public rocksdb::Logger {
 public:
  void Logv(const char* format, va_list args) override {
    Logv(rocksdb::InfoLogLevel::INFO_LEVEL, format, args);
  }
  void Logv(const rocksdb::InfoLogLevel level, const char* format, va_list args) override {
    if (level < rocksdb::WARN_LEVEL || level == rocksdb::HEADER_LEVEL) return;
    char text[512];
    std::vsnprintf(text, sizeof text, format, args);
    std::string_view line(text);
    while (line.ends_with('\n')) line.remove_suffix(1);
    if (level == rocksdb::WARN_LEVEL) {
      log::warn("rocksdb warns what={}", log::value(line));
    } else {
      log::error("rocksdb reports an error what={}", log::value(line));
    }
  }
};

/// The keys of one kind of one session: where the next one is put is close to the last one.
class SessionPrefix final : public rocksdb::SliceTransform {
 public:
  const char* Name() const override { return "parlance.SessionPrefix"; }
  rocksdb::Slice Transform(const rocksdb::Slice& key) const override {
    const std::size_t separator = view(key).find('\0');
    return separator == std::string_view::npos ? key : rocksdb::Slice(key.data(), separator);
  }
  bool InDomain(const rocksdb::Slice& /*key*/) const override { return true; }
};

rocksdb::DBOptions engine_options(const Options& options) {
  rocksdb::DBOptions out;
  out.create_if_missing = true;
  out.create_missing_column_families = true;
  out.max_open_files = options.open_files_max;
  out.max_background_jobs = 2;
  out.avoid_flush_during_shutdown = true;
  // The ids fill their memory slowly; without a limit the whole log since would be read at a start.
  out.max_total_wal_size = 4 * options.write_buffer_bytes;
  // A torn end is what a crash leaves; damage before it must not pass for an end of the log.
  out.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  out.info_log = std::make_shared<EngineLog>();
  out.stats_dump_period_sec = 0;
  out.allow_concurrent_memtable_write = false;  // One thread writes; and hints need it.
  return out;
}

rocksdb::ColumnFamilyOptions family_options(const Options& options,
                                            const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table.cache_index_and_filter_blocks = true;
  table.pin_l0_filter_and_index_blocks_in_cache = true;

  rocksdb::ColumnFamilyOptions out;
  out.write_buffer_size = options.write_buffer_bytes;
  out.max_write_buffer_number = 3;
  out.compression = rocksdb::kLZ4Compression;
  out.memtable_insert_with_hint_prefix_extractor = std::make_shared<SessionPrefix>();
  out.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return out;
}

/// Sets of documents are removed as ranges of keys, which hints do not go together with.
rocksdb::ColumnFamilyOptions document_family_options(const Options& options,
                                                     const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::ColumnFamilyOptions out = family_options(options, cache);
  out.memtable_insert_with_hint_prefix_extractor = nullptr;
  return out;
}

/// Ids are looked up far more often than they are found.
rocksdb::ColumnFamilyOptions id_family_options(const Options& options,
                                               const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::ColumnFamilyOptions out = family_options(options, cache);
  out.memtable_whole_key_filtering = true;
  out.memtable_prefix_bloom_size_ratio = 0.1;
  return out;
}

/// The number stored at `key`; nothing when the key is absent.
Result<std::optional<std::uint64_t>> read_number(rocksdb::DB& db, std::string_view key) {
  std::string text;
  const auto status = db.Get({}, slice(key), &text);
  if (status.IsNotFound()) return std::optional<std::uint64_t>{};
  if (!status.ok()) return to_error(status, "reading the store's header");
  std::uint64_t value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec != std::errc{} || parsed.ptr != text.data() + text.size()) {
    return Error{Errc::corrupted, fmt::format("the store's {} is not a number", key)};
  }
  return std::optional<std::uint64_t>{value};
}

/// Layout 1 had no clients and no documents: there is nothing to change but the number, which keeps
/// an older program from a store that it would not read whole.
Status migrate(rocksdb::DB& db) {
  rocksdb::WriteOptions write;
  write.sync = true;
  const auto status = db.Put(write, slice(keys::kSchema), std::to_string(kSchemaVersion));
  if (!status.ok()) return to_error(status, "writing the store's layout");
  return {};
}

/// Writes the header of a new store, or checks that of an old one; returns the epoch.
Result<std::uint64_t> prepare_header(rocksdb::DB& db) {
  const auto schema = read_number(db, keys::kSchema);
  if (!schema) return schema.error();
  if (schema->has_value()) {
    if (**schema > kSchemaVersion) {
      return Error{Errc::failed_precondition,
                   fmt::format("the store has layout {}, this program knows {}; use the newer "
                               "program that wrote it",
                               **schema, kSchemaVersion)};
    }
    if (**schema < kSchemaVersion) {
      if (const Status migrated = migrate(db); !migrated) return migrated.error();
    }
    const auto epoch = read_number(db, keys::kEpoch);
    if (!epoch) return epoch.error();
    if (!epoch->has_value()) return Error{Errc::corrupted, "the store has no epoch"};
    return **epoch;
  }
  // 31 bits: a JSON client that reads the cursor's parts as numbers keeps them exact.
  const std::uint64_t epoch = (random_u64() >> 33) + 1;
  rocksdb::WriteBatch batch;
  batch.Put(slice(keys::kSchema), std::to_string(kSchemaVersion));
  batch.Put(slice(keys::kEpoch), std::to_string(epoch));
  rocksdb::WriteOptions write;
  write.sync = true;
  const auto status = db.Write(write, &batch);
  if (!status.ok()) return to_error(status, "making the store");
  return epoch;
}

/// True when both are the same message with the same text.
Result<bool> same_message(std::string_view first_bytes, std::string_view second_bytes) {
  const auto first = decode(first_bytes);
  const auto second = decode(second_bytes);
  if (!first) return first.error();
  if (!second) return second.error();
  const auto* a = std::get_if<MessageAccepted>(&first->event);
  const auto* b = std::get_if<MessageAccepted>(&second->event);
  return a != nullptr && b != nullptr && a->message_id == b->message_id && a->text == b->text;
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
      ids_(engine_->families.at(1)),
      documents_(engine_->families.at(2)),
      epoch_(epoch) {}

Store::~Store() = default;

Result<std::unique_ptr<Store>> Store::open(const Options& options) {
  const std::string engine_directory = options.directory + "/rocksdb";
  for (const std::string& directory : {options.directory, engine_directory}) {
    if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
      return Error{Errc::unavailable,
                   fmt::format("cannot make the data directory {}: {}", directory,
                               std::generic_category().message(errno))};
    }
  }
  const auto cache = rocksdb::NewLRUCache(options.block_cache_bytes);
  auto engine = std::make_unique<Engine>();
  rocksdb::DB* raw = nullptr;
  const auto status = rocksdb::DB::Open(
      engine_options(options), engine_directory,
      {{rocksdb::kDefaultColumnFamilyName, family_options(options, cache)},
       {std::string(keys::kIdFamily), id_family_options(options, cache)},
       {std::string(keys::kDocumentFamily), document_family_options(options, cache)}},
      &engine->families, &raw);
  engine->db.reset(raw);
  if (!status.ok()) {
    return to_error(status, fmt::format("opening the store in {}", options.directory));
  }
  const auto epoch = prepare_header(*raw);
  if (!epoch) return epoch.error();
  return std::unique_ptr<Store>(new Store(std::move(engine), *epoch));
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
  const auto same = same_message(bytes, record.bytes);
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
      const auto same = same_message(other.bytes, record.bytes);
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
  // No log begins later: nothing is ever taken from its front.
  const auto status =
      db_->Get(memory_only, db_->DefaultColumnFamily(), keys::event(session, 1), &ignored);
  // A client that was imported has no log yet.
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
