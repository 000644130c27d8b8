// A zip archive in memory, read within limits: the number of entries, the bytes that come out of it
// (as declared, and counted again while inflating) and how much they grow. Entries inside entries
// are never opened.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "extract/document.h"

struct zip;

namespace parlance::extract {

class ZipArchive {
 public:
  /// `bytes` and `limits` must outlive the archive.
  /// Refuses: broken, encrypted (an entry is), too_large (entries).
  static Extracted<ZipArchive> open(std::string_view bytes, const Limits& limits);

  bool contains(const std::string& name) const { return find(name) >= 0; }

  /// The content of the entry `name`, whose case does not matter.
  /// Refuses: broken (no such entry, a wrong checksum), too_large.
  Extracted<std::string> read(const std::string& name);

 private:
  struct Close {
    void operator()(zip* archive) const;
  };
  ZipArchive(zip* archive, const Limits& limits) : archive_(archive), limits_(&limits) {}
  std::int64_t find(const std::string& name) const;

  std::unique_ptr<zip, Close> archive_;
  const Limits* limits_;
  std::size_t inflated_bytes_ = 0;
};

}  // namespace parlance::extract
