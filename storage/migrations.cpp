#include "storage/migrations.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <optional>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "base/random.h"
#include "storage/engine.h"
#include "storage/keys.h"

namespace parlance::storage {
namespace {

constexpr std::size_t kBatchRecords = 4'096;
constexpr std::size_t kBatchBytes = 1 << 20;

/// The kinds of keys that were in the default column family before `ids` was there.
constexpr std::string_view kIdKinds = "mk";

PrefixIterator default_family(const Engine& engine, char kind) {
  return {*engine.db, engine.db->DefaultColumnFamily(), std::string(1, kind)};
}

Result<std::uint64_t> count_ids(const Engine& engine) {
  std::uint64_t count = 0;
  for (const char kind : kIdKinds) {
    PrefixIterator it = default_family(engine, kind);
    for (it.seek_first(); it.valid(); it.next()) ++count;
    if (const Status ok = it.status("counting message ids"); !ok) return ok.error();
  }
  return count;
}

/// From the default column family to that of the ids. A batch takes keys away as it adds them, so
/// what is left there is what is left to do.
Result<std::uint64_t> move_ids(Engine& engine) {
  std::uint64_t moved = 0;
  rocksdb::WriteBatch batch;
  const auto write = [&]() -> Status {
    const auto status = engine.db->Write({}, &batch);
    if (!status.ok()) return to_error(status, "moving message ids");
    moved += batch.Count() / 2;
    batch.Clear();
    return {};
  };
  for (const char kind : kIdKinds) {
    PrefixIterator it = default_family(engine, kind);
    for (it.seek_first(); it.valid(); it.next()) {
      batch.Put(engine.family(keys::kIdFamily), slice(it.key()), slice(it.value()));
      batch.Delete(slice(it.key()));
      if (batch.Count() < 2 * kBatchRecords && batch.GetDataSize() < kBatchBytes) continue;
      if (const Status ok = write(); !ok) return ok.error();
    }
    if (const Status ok = it.status("moving message ids"); !ok) return ok.error();
  }
  if (const Status ok = write(); !ok) return ok.error();
  return moved;
}

constexpr char kOldDocumentIds = 'i';

Result<std::uint64_t> count_document_ids(const Engine& engine) {
  std::uint64_t count = 0;
  if (!engine.has_family(keys::kIdFamily)) return count;  // A store that never had documents.
  PrefixIterator it(*engine.db, engine.family(keys::kIdFamily), std::string(1, kOldDocumentIds));
  for (it.seek_first(); it.valid(); it.next()) ++count;
  if (const Status ok = it.status("counting document ids"); !ok) return ok.error();
  return count;
}

/// What is left under the old keys is what is left to do.
Result<std::uint64_t> hash_document_ids(Engine& engine) {
  rocksdb::ColumnFamilyHandle* const ids = engine.family(keys::kIdFamily);
  std::uint64_t moved = 0;
  rocksdb::WriteBatch batch;
  const auto write = [&]() -> Status {
    const auto status = engine.db->Write({}, &batch);
    if (!status.ok()) return to_error(status, "hashing document ids");
    moved += batch.Count() / 2;
    batch.Clear();
    return {};
  };
  PrefixIterator it(*engine.db, ids, std::string(1, kOldDocumentIds));
  for (it.seek_first(); it.valid(); it.next()) {
    const std::string_view name = it.key().substr(1);
    const std::size_t end = std::min(name.find('\0'), name.size() - 1);
    const SessionId session{std::string(name.substr(0, end))};
    batch.Put(ids, keys::document_id(session, name.substr(end + 1)), slice(it.value()));
    batch.Delete(ids, slice(it.key()));
    if (batch.Count() < 2 * kBatchRecords) continue;
    if (const Status ok = write(); !ok) return ok.error();
  }
  if (const Status ok = it.status("hashing document ids"); !ok) return ok.error();
  if (const Status ok = write(); !ok) return ok.error();
  return moved;
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

Status write_synced(rocksdb::DB& db, rocksdb::WriteBatch& batch, std::string_view doing) {
  rocksdb::WriteOptions write;
  write.sync = true;
  const auto status = db.Write(write, &batch);
  if (!status.ok()) return to_error(status, doing);
  return {};
}

std::uint64_t newest_of(std::span<const Migration> steps) {
  CHECK(!steps.empty());
  return steps.back().layout;
}

std::vector<std::string> families_of(std::span<const Migration> steps) {
  std::vector<std::string> out = {rocksdb::kDefaultColumnFamilyName};
  for (const Migration& step : steps) {
    out.insert(out.end(), step.families.begin(), step.families.end());
  }
  return out;
}

Error too_new(std::uint64_t layout, std::uint64_t newest) {
  return {Errc::failed_precondition,
          fmt::format("the store has layout {}, this program knows {}; use the newer program that "
                      "wrote it",
                      layout, newest)};
}

Error too_old(const Options& options, std::uint64_t layout, std::uint64_t newest) {
  return {Errc::failed_precondition,
          fmt::format("the store in {} has layout {}, this program writes {}; `parlance migrate` "
                      "brings it there, and so does the start of the server",
                      options.directory, layout, newest)};
}

Error corrupted(const Options& options, std::string_view what) {
  return {Errc::corrupted, fmt::format("the store in {} {}", options.directory, what)};
}

/// The layout of a store whose database is there; nothing: it was being made, and holds nothing.
Result<std::optional<std::uint64_t>> read_layout(const Engine& engine, const Options& options,
                                                 std::uint64_t newest) {
  auto layout = read_number(*engine.db, keys::kSchema);
  if (!layout) return layout.error();
  if (layout->has_value()) {
    if (**layout > newest) return too_new(**layout, newest);
    if (**layout == 0) return corrupted(options, "has layout 0, which there never was");
    return layout;
  }
  const std::unique_ptr<rocksdb::Iterator> it(engine.db->NewIterator({}));
  it->SeekToFirst();
  if (!it->status().ok()) return to_error(it->status(), "reading the store's header");
  if (it->Valid()) return corrupted(options, "has records but no layout");
  return layout;
}

/// Why a database cannot be opened that has a column family which no layout up to ours has.
Error unknown_family(const Options& options, const std::string& name, std::uint64_t newest) {
  const auto engine = open_engine(options, {rocksdb::kDefaultColumnFamilyName}, Access::read_only);
  if (!engine) return engine.error();
  const auto layout = read_layout(**engine, options, newest);
  if (!layout) return layout.error();
  return corrupted(options, fmt::format("has a column family {} that no layout up to {} has",
                                        log::value(name), newest));
}

/// The column families of the database; empty: there is none. Refuses those of a newer layout.
Result<std::vector<std::string>> known_families(const Options& options,
                                                std::span<const Migration> steps) {
  auto names = families_on_disk(options);
  if (!names) return names.error();
  const std::vector<std::string> known = families_of(steps);
  for (const std::string& name : *names) {
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      return unknown_family(options, name, newest_of(steps));
    }
  }
  return names;
}

Result<MigrationPlan> plan_from(const Engine& engine, std::uint64_t layout,
                                std::span<const Migration> steps) {
  MigrationPlan plan{layout, {}};
  for (const Migration& step : steps) {
    if (step.layout <= layout) continue;
    const auto records = step.count ? step.count(engine) : Result<std::uint64_t>(0);
    if (!records) return records.error();
    plan.steps.push_back({step.layout, step.what, *records});
  }
  return plan;
}

Result<MigrationPlan> take_steps(Engine& engine, const Options& options, std::uint64_t layout,
                                 std::span<const Migration> steps) {
  MigrationPlan done{layout, {}};
  for (const Migration& step : steps) {
    if (step.layout <= layout) continue;
    log::info("migrating the store layout={} what={}", step.layout, log::value(step.what));
    const auto begun = std::chrono::steady_clock::now();
    for (const std::string& family : step.families) {
      if (const Status added = add_family(engine, options, family); !added) return added.error();
    }
    const auto records = step.run ? step.run(engine) : Result<std::uint64_t>(0);
    if (!records) return records.error();
    rocksdb::WriteBatch batch;
    batch.Put(slice(keys::kSchema), std::to_string(step.layout));
    const Status written = write_synced(*engine.db, batch, "writing the store's layout");
    if (!written) return written.error();
    log::info("migrated the store layout={} records={} ms={}", step.layout, *records,
              std::chrono::duration_cast<std::chrono::milliseconds>(
                  std::chrono::steady_clock::now() - begun)
                  .count());
    done.steps.push_back({step.layout, step.what, *records});
  }
  return done;
}

/// Writes the header of a new store; returns its epoch.
Result<std::uint64_t> write_header(Engine& engine, std::uint64_t layout) {
  // 31 bits: a JSON client that reads the cursor's parts as numbers keeps them exact.
  const std::uint64_t epoch = (random_u64() >> 33) + 1;
  rocksdb::WriteBatch batch;
  batch.Put(slice(keys::kSchema), std::to_string(layout));
  batch.Put(slice(keys::kEpoch), std::to_string(epoch));
  if (const Status made = write_synced(*engine.db, batch, "making the store"); !made) {
    return made.error();
  }
  return epoch;
}

Result<OpenedStore> make_store(const Options& options, std::span<const Migration> steps) {
  auto engine = make_engine(options, families_of(steps));
  if (!engine) return engine.error();
  const auto epoch = write_header(**engine, newest_of(steps));
  if (!epoch) return epoch.error();
  return OpenedStore{std::move(*engine), *epoch, {newest_of(steps), {}}};
}

/// Keeps other processes from opening the database for writing while it is only read.
class ReadLock {
 public:
  static Result<ReadLock> take(const Options& options) {
    const std::string path = engine_directory(options) + "/LOCK";
    ReadLock lock(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    // A copy may lack the file: then nobody else has it open either.
    if (lock.fd_ < 0 && errno == ENOENT) return lock;
    struct flock whole {};
    whole.l_type = F_RDLCK;
    whole.l_whence = SEEK_SET;
    if (lock.fd_ >= 0 && ::fcntl(lock.fd_, F_OFD_SETLK, &whole) == 0) return lock;
    if (lock.fd_ >= 0 && errno == EAGAIN) return in_use(options);
    return Error{Errc::unavailable,
                 fmt::format("cannot lock {}: {}", path, std::generic_category().message(errno))};
  }
  ReadLock(ReadLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  ReadLock& operator=(ReadLock&&) = delete;
  ~ReadLock() {
    if (fd_ >= 0) ::close(fd_);
  }

 private:
  explicit ReadLock(int fd) : fd_(fd) {}
  int fd_;
};

Error no_store(const Options& options) {
  return {Errc::not_found, fmt::format("there is no store in {}", options.directory)};
}

}  // namespace

std::span<const Migration> migrations() {
  static const std::vector<Migration> steps = {
      {1, "the event log", {}, nullptr, nullptr},
      {2,
       "message ids in a column family of their own; clients and documents",
       {std::string(keys::kIdFamily), std::string(keys::kDocumentFamily)},
       count_ids,
       move_ids},
      {3,
       "documents named by digests of their ids; agents and their sessions",
       {std::string(keys::kPlatformFamily)},
       count_document_ids,
       hash_document_ids},
  };
  return steps;
}

Result<MigrationPlan> plan_migration(const Options& options, std::span<const Migration> steps) {
  const auto lock = ReadLock::take(options);
  if (!lock) return lock.error();
  const auto names = known_families(options, steps);
  if (!names) return names.error();
  if (names->empty()) return no_store(options);
  const auto engine = open_engine(options, *names, Access::read_only);
  if (!engine) return engine.error();
  const auto layout = read_layout(**engine, options, newest_of(steps));
  if (!layout) return layout.error();
  if (!layout->has_value()) return no_store(options);
  return plan_from(**engine, **layout, steps);
}

Result<MigrationPlan> migrate(const Options& options, std::span<const Migration> steps) {
  const auto names = known_families(options, steps);
  if (!names) return names.error();
  if (names->empty()) return no_store(options);
  auto opened = open_newest(options, OldLayout::migrate, steps);
  if (!opened) return opened.error();
  return std::move(opened->done);
}

Result<OpenedStore> open_newest(const Options& options, OldLayout old,
                                std::span<const Migration> steps) {
  const std::uint64_t newest = newest_of(steps);
  const auto names = known_families(options, steps);
  if (!names) return names.error();
  if (names->empty()) return make_store(options, steps);
  if (old == OldLayout::refuse) {
    const auto plan = plan_migration(options, steps);
    if (plan && !plan->steps.empty()) return too_old(options, plan->layout, newest);
    if (!plan && plan.error().code != Errc::not_found) return plan.error();
  }
  auto engine = open_engine(options, *names, Access::read_write);
  if (!engine) return engine.error();
  const auto layout = read_layout(**engine, options, newest);
  if (!layout) return layout.error();
  if (!layout->has_value()) {
    engine->reset();
    return make_store(options, steps);
  }
  auto done = take_steps(**engine, options, **layout, steps);
  if (!done) return done.error();
  for (const std::string& family : families_of(steps)) {
    if (!(*engine)->has_family(family)) {
      return corrupted(options, fmt::format("lacks its column family {}", family));
    }
  }
  const auto epoch = read_number(*(*engine)->db, keys::kEpoch);
  if (!epoch) return epoch.error();
  if (!epoch->has_value()) return Error{Errc::corrupted, "the store has no epoch"};
  return OpenedStore{std::move(*engine), **epoch, std::move(*done)};
}

}  // namespace parlance::storage
