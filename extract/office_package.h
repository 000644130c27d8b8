// A document of Microsoft Office: a zip archive of XML parts that point at each other (ECMA-376,
// part 2).
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "extract/xml_part.h"
#include "extract/zip_archive.h"

namespace parlance::extract {

enum class OfficeKind : unsigned char { other_archive, word, spreadsheet, presentation };

class OfficePackage {
 public:
  struct Target {
    std::string type;  ///< The last word of the relationship's type, such as "notesSlide".
    std::string part;  ///< Name in the archive.
  };
  using Relations = std::map<std::string, Target, std::less<>>;  ///< By id.

  /// Refuses as ZipArchive::open and parse_xml do. Any other archive opens as other_archive.
  static Extracted<OfficePackage> open(std::string_view bytes, const Limits& limits);

  OfficeKind kind() const { return kind_; }
  const std::string& main_part() const { return main_part_; }

  /// The tree of the part `name`. Refuses: broken (also when it is missing), too_large, too_deep.
  Extracted<std::unique_ptr<XmlPart>> part(const std::string& name);

  /// What the part `name` points at inside the package; empty when it points at nothing.
  Extracted<Relations> relations(const std::string& name);

 private:
  OfficePackage(ZipArchive archive, const Limits& limits)
      : archive_(std::move(archive)), limits_(&limits) {}
  void find_main_part(const pugi::xml_node& content_types);

  ZipArchive archive_;
  const Limits* limits_;
  OfficeKind kind_ = OfficeKind::other_archive;
  std::string main_part_;
};

const char* mime_type(OfficeKind kind) noexcept;

}  // namespace parlance::extract
