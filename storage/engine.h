// What the sources of this folder share of RocksDB; nobody else includes it.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>

#include "base/result.h"
#include "storage/store.h"

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

/// Closed in the order that the engine asks for: its families first.
struct Store::Engine {
  Engine() = default;
  ~Engine() {
    for (rocksdb::ColumnFamilyHandle* family : families) db->DestroyColumnFamilyHandle(family);
  }
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  std::unique_ptr<rocksdb::DB> db;
  std::vector<rocksdb::ColumnFamilyHandle*> families;  ///< The default one, ids, documents.
  rocksdb::WriteBatch batch;  ///< Of the group being written; kept for its memory.
};

}  // namespace parlance::storage
