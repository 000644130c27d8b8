#include "extract/office_package.h"

#include <algorithm>
#include <vector>

namespace parlance::extract {
namespace {

constexpr const char* kContentTypes = "[Content_Types].xml";

/// The kind of document whose main part has this content type: plain, template or with macros.
OfficeKind kind_of(std::string_view type) {
  const auto has = [&](std::string_view piece) {
    return type.find(piece) != std::string_view::npos;
  };
  if (!type.ends_with(".main+xml")) return OfficeKind::other_archive;
  if (has("wordprocessingml") || has("ms-word")) return OfficeKind::word;
  if (has("spreadsheetml") || has("ms-excel")) return OfficeKind::spreadsheet;
  if (has("presentationml") || has("ms-powerpoint")) return OfficeKind::presentation;
  return OfficeKind::other_archive;
}

/// `target` as seen from the part `from`, without dots and leading slash.
std::string resolve(std::string_view from, std::string_view target) {
  const std::size_t slash = from.rfind('/');
  std::string path(target);
  if (!target.starts_with('/') && slash != std::string_view::npos) {
    path = std::string(from.substr(0, slash + 1)) + path;
  }
  std::vector<std::string_view> steps;
  for (std::string_view rest = path; !rest.empty();) {
    const std::size_t end = std::min(rest.find('/'), rest.size());
    const std::string_view step = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (step == "..") {
      if (!steps.empty()) steps.pop_back();
    } else if (!step.empty() && step != ".") {
      steps.push_back(step);
    }
  }
  std::string resolved;
  for (const std::string_view step : steps) {
    if (!resolved.empty()) resolved += '/';
    resolved += step;
  }
  return resolved;
}

}  // namespace

Extracted<OfficePackage> OfficePackage::open(std::string_view bytes, const Limits& limits) {
  auto archive = ZipArchive::open(bytes, limits);
  if (!archive) return archive.error();
  OfficePackage package(std::move(*archive), limits);
  if (package.archive_.contains(kContentTypes)) {
    auto types = package.part(kContentTypes);
    if (!types) return types.error();
    package.find_main_part((*types)->tree.document_element());
  }
  return package;
}

void OfficePackage::find_main_part(const pugi::xml_node& content_types) {
  for (const pugi::xml_node& entry : content_types.children()) {
    if (local_name(entry) != "Override") continue;
    const OfficeKind kind = kind_of(attribute(entry, "ContentType"));
    if (kind == OfficeKind::other_archive) continue;
    kind_ = kind;
    main_part_ = resolve("", attribute(entry, "PartName"));
    return;
  }
}

Extracted<std::unique_ptr<XmlPart>> OfficePackage::part(const std::string& name) {
  auto bytes = archive_.read(name);
  if (!bytes) return bytes.error();
  return parse_xml(*bytes, *limits_);
}

Extracted<OfficePackage::Relations> OfficePackage::relations(const std::string& name) {
  const std::size_t slash = name.rfind('/');
  const std::size_t file = slash == std::string::npos ? 0 : slash + 1;
  const std::string listing = name.substr(0, file) + "_rels/" + name.substr(file) + ".rels";
  Relations relations;
  if (!archive_.contains(listing)) return relations;
  auto part = this->part(listing);
  if (!part) return part.error();
  for (const pugi::xml_node& entry : (*part)->tree.document_element().children()) {
    if (local_name(entry) != "Relationship") continue;
    if (std::string_view(attribute(entry, "TargetMode")) == "External") continue;
    const std::string_view type = attribute(entry, "Type");
    relations.emplace(attribute(entry, "Id"), Target{std::string(type.substr(type.rfind('/') + 1)),
                                                     resolve(name, attribute(entry, "Target"))});
  }
  return relations;
}

const char* mime_type(OfficeKind kind) noexcept {
  switch (kind) {
    case OfficeKind::word:
      return "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
    case OfficeKind::spreadsheet:
      return "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
    case OfficeKind::presentation:
      return "application/vnd.openxmlformats-officedocument.presentationml.presentation";
    case OfficeKind::other_archive:
      return "application/zip";
  }
  return "application/zip";
}

}  // namespace parlance::extract
