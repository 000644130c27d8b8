#include "storage/engine.h"

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <system_error>

#include <rocksdb/cache.h>
#include <rocksdb/env.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/slice_transform.h>
#include <rocksdb/table.h>
#include <sys/stat.h>

#include "base/check.h"
#include "base/log.h"
#include "storage/keys.h"

namespace parlance::storage {
namespace {

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

rocksdb::ColumnFamilyOptions options_of(std::string_view family, const Options& options,
                                        const std::shared_ptr<rocksdb::Cache>& cache) {
  if (family == rocksdb::kDefaultColumnFamilyName) return family_options(options, cache);
  if (family == keys::kIdFamily) return id_family_options(options, cache);
  return document_family_options(options, cache);
}

Error failed_to_open(const rocksdb::Status& status, const Options& options) {
  const std::string text = status.ToString();
  for (const char* locked : {"While lock file", "lock hold by current process"}) {
    if (status.IsIOError() && text.find(locked) != std::string::npos) {
      return in_use(options);
    }
  }
  return to_error(status, fmt::format("opening the store in {}", options.directory));
}

Result<std::unique_ptr<Engine>> open(const rocksdb::DBOptions& engine_options,
                                     const Options& options,
                                     const std::vector<std::string>& families, Access access) {
  auto engine = std::make_unique<Engine>();
  engine->cache = rocksdb::NewLRUCache(options.block_cache_bytes);
  std::vector<rocksdb::ColumnFamilyDescriptor> descriptors;
  descriptors.reserve(families.size());
  for (const std::string& name : families) {
    descriptors.emplace_back(name, options_of(name, options, engine->cache));
  }
  rocksdb::DB* raw = nullptr;
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  const std::string directory = engine_directory(options);
  const auto status =
      access == Access::read_only
          ? rocksdb::DB::OpenForReadOnly(engine_options, directory, descriptors, &handles, &raw)
          : rocksdb::DB::Open(engine_options, directory, descriptors, &handles, &raw);
  engine->db.reset(raw);
  if (!status.ok()) return failed_to_open(status, options);
  for (std::size_t i = 0; i < handles.size(); ++i) engine->families[families[i]] = handles[i];
  return engine;
}

}  // namespace

rocksdb::ColumnFamilyHandle* Engine::family(std::string_view name) const {
  const auto found = families.find(name);
  CHECK(found != families.end());
  return found->second;
}

Error in_use(const Options& options) {
  return {Errc::unavailable, fmt::format("the store in {} is open in another process; stop that "
                                         "first",
                                         options.directory)};
}

std::string engine_directory(const Options& options) {
  return options.directory + "/rocksdb";
}

Result<std::vector<std::string>> families_on_disk(const Options& options) {
  std::vector<std::string> names;
  struct stat ignored {};
  // The file that names the others: without it there is no database.
  const std::string current = engine_directory(options) + "/CURRENT";
  if (::stat(current.c_str(), &ignored) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return names;
    return Error{Errc::unavailable, fmt::format("cannot read {}: {}", current,
                                                std::generic_category().message(errno))};
  }
  const auto status =
      rocksdb::DB::ListColumnFamilies(engine_options(options), engine_directory(options), &names);
  if (!status.ok()) return failed_to_open(status, options);
  return names;
}

Result<std::unique_ptr<Engine>> open_engine(const Options& options,
                                            const std::vector<std::string>& families,
                                            Access access) {
  return open(engine_options(options), options, families, access);
}

Result<std::unique_ptr<Engine>> make_engine(const Options& options,
                                            const std::vector<std::string>& families) {
  for (const std::string& directory : {options.directory, engine_directory(options)}) {
    if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
      return Error{Errc::unavailable,
                   fmt::format("cannot make the data directory {}: {}", directory,
                               std::generic_category().message(errno))};
    }
  }
  rocksdb::DBOptions making = engine_options(options);
  making.create_if_missing = true;
  making.create_missing_column_families = true;
  return open(making, options, families, Access::read_write);
}

Status add_family(Engine& engine, const Options& options, const std::string& name) {
  if (engine.has_family(name)) return {};
  rocksdb::ColumnFamilyHandle* made = nullptr;
  const auto status =
      engine.db->CreateColumnFamily(options_of(name, options, engine.cache), name, &made);
  if (!status.ok()) return to_error(status, fmt::format("adding the column family {}", name));
  engine.families[name] = made;
  return {};
}

}  // namespace parlance::storage
