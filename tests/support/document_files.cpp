#include "tests/support/document_files.h"

#include <cstdlib>
#include <set>
#include <stdexcept>

#include <fmt/format.h>
#include <zip.h>

namespace parlance::test {
namespace {

constexpr const char* kOffice = "http://schemas.openxmlformats.org";

std::string stream(const std::string& content) {
  return fmt::format("<</Length {}>>stream\n{}\nendstream", content.size(), content);
}

/// Numbers `objects` from 1 and adds the table and the trailer.
std::string assemble_pdf(const std::vector<std::string>& objects, const std::string& trailer) {
  std::string pdf = "%PDF-1.4\n";
  std::string table = fmt::format("xref\n0 {}\n0000000000 65535 f \n", objects.size() + 1);
  for (std::size_t i = 0; i < objects.size(); ++i) {
    table += fmt::format("{:010} 00000 n \n", pdf.size());
    pdf += fmt::format("{} 0 obj\n{}\nendobj\n", i + 1, objects[i]);
  }
  const std::size_t start = pdf.size();
  return pdf + table +
         fmt::format("trailer<</Size {}/Root 1 0 R{}>>\nstartxref\n{}\n%%EOF\n", objects.size() + 1,
                     trailer, start);
}

/// Catalog, pages and font, then two objects for each of `contents`.
std::vector<std::string> pdf_objects(const std::vector<std::string>& contents,
                                     const std::string& font) {
  std::string kids;
  for (std::size_t i = 0; i < contents.size(); ++i) kids += fmt::format("{} 0 R ", 4 + 2 * i);
  std::vector<std::string> objects = {
      "<</Type/Catalog/Pages 2 0 R>>",
      fmt::format("<</Type/Pages/Kids[{}]/Count {}>>", kids, contents.size()), font};
  for (std::size_t i = 0; i < contents.size(); ++i) {
    objects.push_back(
        fmt::format("<</Type/Page/Parent 2 0 R/MediaBox[0 0 400 400]"
                    "/Resources<</Font<</F 3 0 R>>>>/Contents {} 0 R>>",
                    5 + 2 * i));
    objects.push_back(stream(contents[i]));
  }
  return objects;
}

}  // namespace

std::string make_zip(const Entries& entries, const std::string& password) {
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* const target = zip_source_buffer_create(nullptr, 0, 0, &error);
  zip_source_keep(target);
  zip_t* const archive = zip_open_from_source(target, ZIP_TRUNCATE, &error);
  for (const auto& [name, content] : entries) {
    zip_source_t* const source = zip_source_buffer(archive, content.data(), content.size(), 0);
    const auto index = zip_file_add(archive, name.c_str(), source, 0);
    if (index < 0) throw std::runtime_error("zip_file_add");
    if (!password.empty()) {
      zip_file_set_encryption(archive, static_cast<zip_uint64_t>(index), ZIP_EM_AES_256,
                              password.c_str());
    }
  }
  if (zip_close(archive) != 0) throw std::runtime_error(zip_strerror(archive));
  zip_stat_t stat;
  zip_source_stat(target, &stat);
  std::string bytes(stat.size, '\0');
  zip_source_open(target);
  const auto got = zip_source_read(target, bytes.data(), bytes.size());
  zip_source_close(target);
  zip_source_free(target);
  if (got != static_cast<zip_int64_t>(bytes.size())) throw std::runtime_error("zip_source_read");
  return bytes;
}

std::string content_types(const std::string& part, const std::string& kind) {
  return fmt::format(
      "<?xml version=\"1.0\"?><Types xmlns=\"{}/package/2006/content-types\"><Override "
      "PartName=\"/{}\" ContentType=\"application/vnd.openxmlformats-officedocument.{}.main+xml\"/>"
      "</Types>",
      kOffice, part, kind);
}

std::string relations(const std::vector<Relation>& all) {
  std::string xml = fmt::format("<Relationships xmlns=\"{}/package/2006/relationships\">", kOffice);
  for (const Relation& one : all) {
    xml += fmt::format(
        "<Relationship Id=\"{}\" Type=\"{}/officeDocument/2006/relationships/{}\" Target=\"{}\"/>",
        one.id, kOffice, one.type, one.target);
  }
  return xml + "</Relationships>";
}

std::string make_docx(const std::string& body) {
  return make_zip(
      {{"[Content_Types].xml", content_types("word/document.xml", "wordprocessingml.document")},
       {"word/document.xml",
        fmt::format("<w:document xmlns:w=\"{}/wordprocessingml/2006/main\"><w:body>{}</w:body>"
                    "</w:document>",
                    kOffice, body)}});
}

std::string paragraph(const std::string& text) {
  return "<w:p><w:r><w:t xml:space=\"preserve\">" + text + "</w:t></w:r></w:p>";
}

std::string make_pdf(const std::vector<std::string>& pages, const std::string& trailer,
                     const std::vector<std::string>& objects) {
  std::vector<std::string> contents;
  for (const std::string& page : pages) {
    contents.push_back("BT /F 12 Tf 50 300 Td (" + page + ") Tj ET");
  }
  auto all = pdf_objects(contents, "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>");
  all.insert(all.end(), objects.begin(), objects.end());
  return assemble_pdf(all, trailer);
}

std::string make_unicode_pdf(std::u16string_view text) {
  std::string shown;
  for (const char16_t c : text) shown += fmt::format("{:04x}", static_cast<unsigned>(c));
  auto objects = pdf_objects({"BT /F 12 Tf 50 300 Td <" + shown + "> Tj ET"},
                             "<</Type/Font/Subtype/Type0/BaseFont/X/Encoding/Identity-H"
                             "/DescendantFonts[6 0 R]/ToUnicode 7 0 R>>");
  objects.emplace_back(
      "<</Type/Font/Subtype/CIDFontType2/BaseFont/X"
      "/CIDSystemInfo<</Registry(Adobe)/Ordering(Identity)/Supplement 0>>/DW 500>>");
  const std::set<char16_t> letters(text.begin(), text.end());
  std::string map =
      "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /X def "
      "1 begincodespacerange <0000> <ffff> endcodespacerange " +
      std::to_string(letters.size()) + " beginbfchar";
  for (const char16_t c : letters) map += fmt::format(" <{0:04x}> <{0:04x}>", unsigned{c});
  objects.push_back(stream(map + " endbfchar endcmap end end"));
  return assemble_pdf(objects, {});
}

std::string make_encrypted_pdf() {
  std::string owner;
  std::string user;
  for (int i = 0; i < 32; ++i) {
    owner += "ab";
    user += "cd";
  }
  return make_pdf({"Secret"}, "/Encrypt 6 0 R/ID[<0101><0101>]",
                  {"<</Filter/Standard/V 1/R 2/O<" + owner + ">/U<" + user + ">/P -4>>"});
}

}  // namespace parlance::test
