#include "extract/zip_archive.h"

#include <algorithm>

#include <zip.h>

namespace parlance::extract {
namespace {

constexpr std::size_t kReadBytes = 64 << 10;

bool any_encrypted(zip_t* archive, zip_int64_t entries) {
  for (zip_int64_t i = 0; i < entries; ++i) {
    zip_stat_t stat;
    if (zip_stat_index(archive, static_cast<zip_uint64_t>(i), 0, &stat) != 0) continue;
    if ((stat.valid & ZIP_STAT_ENCRYPTION_METHOD) != 0 && stat.encryption_method != ZIP_EM_NONE) {
      return true;
    }
  }
  return false;
}

}  // namespace

void ZipArchive::Close::operator()(zip* archive) const {
  zip_discard(archive);
}

Extracted<ZipArchive> ZipArchive::open(std::string_view bytes, const Limits& limits) {
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* const source = zip_source_buffer_create(bytes.data(), bytes.size(), 0, &error);
  if (source == nullptr) return Outcome::too_large;
  zip_t* const opened = zip_open_from_source(source, ZIP_RDONLY, &error);
  if (opened == nullptr) {
    const bool memory = zip_error_code_zip(&error) == ZIP_ER_MEMORY;
    zip_source_free(source);
    zip_error_fini(&error);
    return memory ? Outcome::too_large : Outcome::broken;
  }
  ZipArchive archive(opened, limits);
  const zip_int64_t entries = zip_get_num_entries(opened, 0);
  if (entries < 0) return Outcome::broken;
  if (static_cast<std::size_t>(entries) > limits.entries_max) return Outcome::too_large;
  if (any_encrypted(opened, entries)) return Outcome::encrypted;
  return archive;
}

std::int64_t ZipArchive::find(const std::string& name) const {
  const std::int64_t exact = zip_name_locate(archive_.get(), name.c_str(), 0);
  // The names of parts ignore case; nearly all writers keep it, and this way is the slow one.
  return exact >= 0 ? exact : zip_name_locate(archive_.get(), name.c_str(), ZIP_FL_NOCASE);
}

Extracted<std::string> ZipArchive::read(const std::string& name) {
  const std::int64_t found = find(name);
  if (found < 0) return Outcome::broken;
  const auto index = static_cast<zip_uint64_t>(found);
  zip_stat_t stat;
  constexpr zip_uint64_t kSizes = ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE;
  if (zip_stat_index(archive_.get(), index, 0, &stat) != 0 || (stat.valid & kSizes) != kSizes) {
    return Outcome::broken;
  }
  const std::size_t packed_max = std::max<std::uint64_t>(
      limits_->inflated_bytes_free,
      std::min<std::uint64_t>(stat.comp_size, limits_->inflated_bytes_max) * limits_->ratio_max);
  const std::size_t bytes_max = std::min(packed_max, limits_->inflated_bytes_max - inflated_bytes_);
  if (stat.size > bytes_max) return Outcome::too_large;

  const std::unique_ptr<zip_file_t, decltype(&zip_fclose)> file(
      zip_fopen_index(archive_.get(), index, 0), zip_fclose);
  if (!file) return Outcome::broken;
  std::string content;
  content.reserve(stat.size);
  char piece[kReadBytes];
  for (;;) {
    const zip_int64_t got = zip_fread(file.get(), piece, sizeof piece);
    if (got < 0) return Outcome::broken;
    if (got == 0) break;
    // What was declared may be a lie.
    if (static_cast<std::size_t>(got) > bytes_max - content.size()) return Outcome::too_large;
    content.append(piece, static_cast<std::size_t>(got));
  }
  if (content.size() != stat.size) return Outcome::broken;
  inflated_bytes_ += content.size();
  return content;
}

}  // namespace parlance::extract
