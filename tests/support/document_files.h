// Small documents as bytes, made where a test needs them: so a reader sees what is in them.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace parlance::test {

using Entries = std::vector<std::pair<std::string, std::string>>;  ///< Name and content.

/// A zip archive, deflated; with a password: encrypted (AES-256).
std::string make_zip(const Entries& entries, const std::string& password = {});

/// `[Content_Types].xml` that says that `part` is the main part of a document of `kind`, such as
/// "wordprocessingml.document".
std::string content_types(const std::string& part, const std::string& kind);

/// A listing of relationships: id, last word of the type, target.
struct Relation {
  std::string id;
  std::string type;
  std::string target;
};
std::string relations(const std::vector<Relation>& all);

/// A Word document with this XML as its body.
std::string make_docx(const std::string& body);
std::string paragraph(const std::string& text);

/// A PDF, one page per text of `pages`, in Helvetica. `trailer` is added to its trailer, `objects`
/// follow as numbers 4 + 2 * pages and on.
std::string make_pdf(const std::vector<std::string>& pages, const std::string& trailer = {},
                     const std::vector<std::string>& objects = {});

/// A PDF that shows the characters of `text`, from left to right, from a font of its own.
std::string make_unicode_pdf(std::u16string_view text);

/// The first PDF again with a user password on it.
std::string make_encrypted_pdf();

}  // namespace parlance::test
