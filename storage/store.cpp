#include "storage/store.h"

#include <algorithm>
#include <charconv>
#include <cstdarg>
#include <cstdio>

#include <fmt/format.h>
#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>
#include <sys/stat.h>

#include "base/check.h"
#include "base/log.h"
#include "base/random.h"
#include "schemas/codec.h"
#include "storage/keys.h"

namespace parlance::storage {
namespace {

constexpr std::uint64_t kSchemaVersion = 1;

std::string_view view(const rocksdb::Slice& slice) {
  return {slice.data(), slice.size()};
}
rocksdb::Slice slice(std::string_view text) {
  return {text.data(), text.size()};
}

Error to_error(const rocksdb::Status& status, std::string_view doing) {
  const Errc code = status.IsCorruption() ? Errc::corrupted : Errc::unavailable;
  return {code, fmt::format("{}: {}", doing, status.ToString())};
}

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

rocksdb::Options engine_options(const Options& options) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(options.block_cache_bytes);
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table.cache_index_and_filter_blocks = true;
  table.pin_l0_filter_and_index_blocks_in_cache = true;

  rocksdb::Options out;
  out.create_if_missing = true;
  out.write_buffer_size = options.write_buffer_bytes;
  out.max_write_buffer_number = 3;
  out.max_open_files = options.open_files_max;
  out.max_background_jobs = 2;
  out.compression = rocksdb::kLZ4Compression;
  out.memtable_whole_key_filtering = true;
  out.memtable_prefix_bloom_size_ratio = 0.02;
  out.avoid_flush_during_shutdown = true;
  // A torn end is what a crash leaves; damage before it must not pass for an end of the log.
  out.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  out.info_log = std::make_shared<EngineLog>();
  out.stats_dump_period_sec = 0;
  out.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
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

Store::Store(std::unique_ptr<rocksdb::DB> db, std::uint64_t epoch)
    : db_(std::move(db)), epoch_(epoch) {}

Store::~Store() = default;

Result<std::unique_ptr<Store>> Store::open(const Options& options) {
  const std::string engine_directory = options.directory + "/rocksdb";
  for (const std::string& directory : {options.directory, engine_directory}) {
    if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
      return Error{Errc::unavailable, fmt::format("cannot make the data directory {}: {}",
                                                  directory, std::strerror(errno))};
    }
  }
  rocksdb::DB* raw = nullptr;
  const auto status = rocksdb::DB::Open(engine_options(options), engine_directory, &raw);
  if (!status.ok()) {
    return to_error(status, fmt::format("opening the store in {}", options.directory));
  }
  std::unique_ptr<rocksdb::DB> db(raw);
  const auto epoch = prepare_header(*db);
  if (!epoch) return epoch.error();
  return std::unique_ptr<Store>(new Store(std::move(db), *epoch));
}

Result<std::optional<RecordOutcome>> Store::find_duplicate(const SessionId& session,
                                                           const AppendRecord& record) const {
  std::string value;
  auto status = db_->Get({}, keys::message(session, record.message_id), &value);
  if (status.IsNotFound() && !record.idempotency_key.empty()) {
    status = db_->Get({}, keys::idempotency(session, record.idempotency_key), &value);
  }
  if (status.IsNotFound()) return std::optional<RecordOutcome>{};
  if (!status.ok()) return to_error(status, "looking up a message id");

  const EventSeq seq = keys::last_be64(value);
  std::string bytes;
  status = db_->Get({}, keys::event(session, seq), &bytes);
  if (!status.ok()) return to_error(status, "reading the first message of an id");
  const auto same = same_message(bytes, record.bytes);
  if (!same) return same.error();
  return std::optional<RecordOutcome>{{seq, true, *same}};
}

Result<std::vector<RecordOutcome>> Store::add_to_batch(rocksdb::WriteBatch& batch,
                                                       const AppendRequest& request) {
  std::vector<RecordOutcome> outcomes;
  outcomes.reserve(request.records.size());
  EventSeq seq = request.last;
  std::optional<EventSeq> unfinished = request.unfinished;
  std::vector<std::pair<const AppendRecord*, EventSeq>> messages;  // That this request adds.
  for (const AppendRecord& record : request.records) {
    if (!record.message_id.empty()) {
      const auto duplicate = find_duplicate(request.session, record);
      if (!duplicate) return duplicate.error();
      if (duplicate->has_value()) {
        outcomes.push_back(**duplicate);
        continue;
      }
      const auto first = std::find_if(messages.begin(), messages.end(), [&](const auto& added) {
        return added.first->message_id == record.message_id ||
               (!record.idempotency_key.empty() &&
                added.first->idempotency_key == record.idempotency_key);
      });
      if (first != messages.end()) {
        const auto same = same_message(first->first->bytes, record.bytes);
        if (!same) return same.error();
        outcomes.push_back({first->second, true, *same});
        continue;
      }
      messages.emplace_back(&record, seq + 1);
    }
    ++seq;
    batch.Put(keys::event(request.session, seq), record.bytes);
    if (!record.message_id.empty()) {
      batch.Put(keys::message(request.session, record.message_id), keys::be64(seq));
      if (!record.idempotency_key.empty()) {
        batch.Put(keys::idempotency(request.session, record.idempotency_key), keys::be64(seq));
      }
      if (!unfinished) unfinished = seq;
    }
    outcomes.push_back({seq, false, false});
  }
  if (!request.records.empty()) {
    if (unfinished) {
      batch.Put(keys::unfinished(request.session), keys::be64(*unfinished));
    } else {
      batch.Delete(keys::unfinished(request.session));
    }
  }
  for (std::uint32_t part = 0; part < request.parts_dropped; ++part) {
    batch.Delete(keys::part(request.session, part));
  }
  if (request.partial) {
    if (request.partial->part == 1) {
      batch.Put(keys::part(request.session, 0), request.partial->message_id.text);
    }
    batch.Put(keys::part(request.session, request.partial->part), request.partial->text);
  }
  return outcomes;
}

Result<std::vector<std::vector<RecordOutcome>>> Store::append(
    std::span<const AppendRequest> requests) {
  if (refuses_writes()) {
    return Error{Errc::unavailable, "the store refuses writes since an earlier one failed"};
  }
  rocksdb::WriteBatch batch;
  std::vector<std::vector<RecordOutcome>> outcomes;
  outcomes.reserve(requests.size());
  for (const AppendRequest& request : requests) {
    auto added = add_to_batch(batch, request);
    if (!added) {
      failed_.store(true, std::memory_order_release);
      return added.error();
    }
    outcomes.push_back(std::move(*added));
  }
  if (batch.Count() == 0) return outcomes;
  rocksdb::WriteOptions write;
  write.sync = true;
  const auto status = db_->Write(write, &batch);
  if (!status.ok()) {
    failed_.store(true, std::memory_order_release);
    return to_error(status, "making a group durable");
  }
  return outcomes;
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
