// What the sources of this folder share of RocksDB; nobody else includes it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>

#include "base/result.h"
#include "storage/options.h"

namespace parlance::storage {

inline std::string_view view(const rocksdb::Slice& slice) {
  return {slice.data(), slice.size()};
}
inline rocksdb::Slice slice(std::string_view text) {
  return {text.data(), text.size()};
}

inline Error to_error(const rocksdb::Status& status, std::string_view doing) {
  const Errc code = status.IsCorruption() ? Errc::corrupted : Errc::unavailable;
  return {code, fmt::format("{}: {}", doing, status.ToString())};
}

/// Walks the keys of one family that begin with a prefix.
class PrefixIterator {
 public:
  PrefixIterator(rocksdb::DB& db, rocksdb::ColumnFamilyHandle* family, std::string prefix);
  void seek(const std::string& key) { it_->Seek(key); }
  void seek_first() { it_->Seek(prefix_); }
  bool valid() const { return it_->Valid(); }
  void next() { it_->Next(); }
  std::string_view key() const { return view(it_->key()); }
  std::string_view value() const { return view(it_->value()); }
  Status status(std::string_view doing) const;

 private:
  std::string prefix_;
  std::string upper_;
  rocksdb::Slice upper_slice_;
  std::unique_ptr<rocksdb::Iterator> it_;
};

/// The open database. Closed in the order that it asks for: its families first.
struct Engine {
  Engine() = default;
  ~Engine() {
    for (const auto& [name, family] : families) db->DestroyColumnFamilyHandle(family);
  }
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// A column family that is there.
  rocksdb::ColumnFamilyHandle* family(std::string_view name) const;
  bool has_family(std::string_view name) const { return families.find(name) != families.end(); }

  std::shared_ptr<rocksdb::Cache> cache;  ///< Of blocks of all families.
  std::unique_ptr<rocksdb::DB> db;
  std::map<std::string, rocksdb::ColumnFamilyHandle*, std::less<>> families;
  rocksdb::WriteBatch batch;  ///< Of the group being written; kept for its memory.
};

enum class Access : unsigned char { read_only, read_write };

/// What is said of a store that another process has open.
Error in_use(const Options& options);

/// The directory of the database in the data directory.
std::string engine_directory(const Options& options);

/// The column families of the database that is there; empty: there is none.
Result<std::vector<std::string>> families_on_disk(const Options& options);

/// Opens the database with `families`; for writing these must be all that it has.
/// Errors: unavailable, corrupted.
Result<std::unique_ptr<Engine>> open_engine(const Options& options,
                                            const std::vector<std::string>& families,
                                            Access access);

/// Makes the directories and an empty database with `families`, or goes on where that ended.
/// Errors: unavailable, corrupted.
Result<std::unique_ptr<Engine>> make_engine(const Options& options,
                                            const std::vector<std::string>& families);

/// Adds a column family where it is missing; durable when it returns. Errors: unavailable.
Status add_family(Engine& engine, const Options& options, const std::string& name);

}  // namespace parlance::storage
