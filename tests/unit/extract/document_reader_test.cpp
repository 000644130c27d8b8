#include "extract/document_reader.h"

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include "tests/support/document_files.h"

namespace parlance::extract {
namespace {

using test::make_docx;
using test::make_pdf;
using test::make_zip;
using test::paragraph;

const confined::TypeDetector& detector() {
  static const confined::TypeDetector loaded = confined::TypeDetector::load().value();
  return loaded;
}

Document read(std::string_view bytes, const Limits& limits = {}) {
  return read_document(detector(), bytes, limits);
}

std::string repeated(std::string_view piece, std::size_t times) {
  std::string text;
  for (std::size_t i = 0; i < times; ++i) text += piece;
  return text;
}

constexpr const char* kWord =
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
constexpr const char* kArabic = "السلام عليكم ورحمة الله وبركاته";

/// kArabic in windows-1256, and "Le café est très agréable..." in latin-1, as they would be sent.
constexpr const char* kArabic1256 =
    "\xc7\xe1\xd3\xe1\xc7\xe3 \xda\xe1\xed\xdf\xe3 \xe6\xd1\xcd\xe3\xc9 \xc7\xe1\xe1\xe5 "
    "\xe6\xc8\xd1\xdf\xc7\xca\xe5";
constexpr const char* kFrench1252 =
    "Le caf\xe9 est tr\xe8s agr\xe9"
    "able \xe0 c\xf4t\xe9 de la for\xeat, o\xf9 les \xe9l\xe8ves \xe9tudient.";

}  // namespace

TEST_CASE("plain text comes back as it is") {
  const Document document = read("Two lines,\nand \xe2\x80\x9cquotes\xe2\x80\x9d.\n");
  CHECK(document.type == "text/plain");
  CHECK(document.text == "Two lines,\nand \xe2\x80\x9cquotes\xe2\x80\x9d.\n");
}

TEST_CASE("line ends and control characters of text are cleaned") {
  const Document document =
      read(repeated("many good characters ", 10) + "a\r\nb\rc\x01\x7f" + '\0' + "d\xc2\x85" + "e");
  REQUIRE(document.outcome == Outcome::text);
  CHECK(document.text == repeated("many good characters ", 10) + "a\nb\ncd\ne");
}

TEST_CASE("a byte order mark is no part of the text") {
  CHECK(read("\xef\xbb\xbf"
             "abc")
            .text == "abc");
}

TEST_CASE("UTF-16 of both orders becomes UTF-8") {
  CHECK(read(std::string_view("\xff\xfe\x45\x06\x21\x00", 6)).text == "م!");
  CHECK(read(std::string_view("\xfe\xff\x06\x45\x00\x21", 6)).text == "م!");
}

TEST_CASE("UTF-16 with half a character is refused") {
  CHECK(read(std::string_view("\xff\xfe\x45\x06\x00\xd8", 6)).outcome == Outcome::unknown_encoding);
}

TEST_CASE("Arabic in windows-1256 becomes UTF-8") {
  CHECK(read(kArabic1256).text == kArabic);
}

TEST_CASE("a wrong byte in UTF-8 costs that byte alone") {
  CHECK(read(std::string(kArabic) + "\xff" + kArabic).text ==
        std::string(kArabic) + "\xef\xbf\xbd" + kArabic);
}

TEST_CASE("bytes in no encoding that is recognised are refused") {
  CHECK(read("\x81\x8d\x90\x81\x9d\x8d\x81\x90\x9d\x81").outcome != Outcome::text);
}

TEST_CASE("French in latin-1 becomes UTF-8") {
  CHECK(read(kFrench1252).text ==
        "Le café est très agréable à côté de la forêt, où les élèves étudient.");
}

TEST_CASE("a page's declared encoding is believed") {
  const Document document =
      read(std::string("<html><head><meta charset=\"windows-1256\"></head>"
                       "<body><p>\xe3\xd1\xcd\xc8\xc7</p></body></html>"));
  CHECK(document.text == "مرحبا\n");
}

TEST_CASE("text without a single letter is empty") {
  CHECK(read("").outcome == Outcome::empty);
  CHECK(read(" \n\t\n").outcome == Outcome::empty);
}

TEST_CASE("types that are not supported are named") {
  const Document png = read(std::string_view(
      "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89", 33));
  CHECK(png.outcome == Outcome::unsupported_type);
  CHECK(png.type == "image/png");
  CHECK(read("{\\rtf1 hello}").type == "text/rtf");
}

TEST_CASE("a program is not text") {
  std::string elf = "\x7f" + std::string("ELF\x02\x01\x01");
  elf.append(57, '\0');
  CHECK(read(elf).outcome == Outcome::unsupported_type);
}

// ---- HTML ----

TEST_CASE("HTML is read without scripts, styles and markup, a line per block") {
  const Document document = read(
      "<!DOCTYPE html><html><head><title>T</title><style>p{}</style><script>alert(1)</script>"
      "</head><body><h1>Head</h1><p>One <b>two</b>\n three &eacute;&#1587;</p><table><tr><td>a</td>"
      "<td>b</td></tr><tr><td>c<td>d</table><ul><li>x<li>y</ul><pre>a\n  b</pre></body></html>");
  CHECK(document.type == "text/html");
  CHECK(document.text == "T\n\nHead\n\nOne two three éس\n\na\tb\nc\td\n\nx\ny\n\na\n  b\n");
}

TEST_CASE("HTML that nests too deeply is refused") {
  CHECK(read("<html><body>" + repeated("<div>", 5000)).outcome == Outcome::too_deep);
}

TEST_CASE("an entity bomb in HTML is text as it stands") {
  const Document document = read(
      "<!DOCTYPE html [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;\">]><html><body>"
      "<p>&b;&b;</p></body></html>");
  CHECK(document.text.size() < 200);
}

// ---- JSON, CSV, Markdown ----

TEST_CASE("JSON is checked and comes back as it is") {
  const Document document = read("{\"name\": \"سلام\", \"n\": [1, 2]}\n");
  CHECK(document.type == "application/json");
  CHECK(document.text == "{\"name\": \"سلام\", \"n\": [1, 2]}\n");
}

TEST_CASE("JSON that is cut off is broken") {
  CHECK(read("{\"a\": [1, 2").outcome == Outcome::broken);
}

TEST_CASE("JSON that nests too deeply is refused") {
  CHECK(read(repeated("[", 100'000)).outcome == Outcome::too_deep);
}

TEST_CASE("one JSON value per line is JSON") {
  CHECK(read("{\"a\": 1}\n{\"a\": 2}\n").type == "application/json");
}

TEST_CASE("text that begins with a bracket is not broken JSON") {
  CHECK(read("[a note] on this and that").type == "text/plain");
  CHECK(read("[[a link]] and [1] a number").type == "text/plain");
  CHECK(read("[\"a\"] and more").type == "text/plain");
}

TEST_CASE("a JSON value per line that is cut off is broken") {
  CHECK(read("{\"a\": 1}\n{\"a\": ").outcome == Outcome::broken);
}

TEST_CASE("CSV is known by its even records") {
  const Document document = read("name,age\nx,1\n\"y, \"\"z\"\"\",2\n");
  CHECK(document.type == "text/csv");
  CHECK(document.text == "name,age\nx,1\n\"y, \"\"z\"\"\",2\n");
}

TEST_CASE("Markdown is known by its marks and comes back as it is") {
  const std::string text = "# Title\n\nSome **bold** text.\n\n- one\n- two\n";
  const Document document = read(text);
  CHECK(document.type == "text/markdown");
  CHECK(document.text == text);
}

// ---- PDF ----

TEST_CASE("the pages of a PDF follow each other") {
  REQUIRE(prepare_libraries().has_value());
  const Document document = read(make_pdf({"Page one", "Page two"}));
  CHECK(document.type == "application/pdf");
  CHECK(document.text == "Page one\n\nPage two\n");
}

TEST_CASE("Arabic of a PDF, drawn from left to right, is read from right to left") {
  CHECK(read(test::make_unicode_pdf(u"مكيلع مالس")).text == "سلام عليكم\n");
}

TEST_CASE("Arabic presentation forms and ligatures of a PDF become letters") {
  CHECK(read(test::make_unicode_pdf(u"\ufefc\ufeb3")).text == "سلا\n");
  CHECK(read(test::make_unicode_pdf(u"\ufb01t")).text == "fit\n");
}

TEST_CASE("a PDF that needs a password is encrypted") {
  CHECK(read(test::make_encrypted_pdf()).outcome == Outcome::encrypted);
}

TEST_CASE("a PDF that is cut off is broken") {
  const std::string pdf = make_pdf({"Page one"});
  CHECK(read(pdf.substr(0, pdf.size() / 2)).outcome == Outcome::broken);
}

TEST_CASE("a PDF with more pages than allowed is too large") {
  Limits limits;
  limits.pages_max = 1;
  CHECK(read(make_pdf({"Page one", "Page two"}), limits).outcome == Outcome::too_large);
}

TEST_CASE("a PDF that claims two milliard pages is refused") {
  std::string pdf = make_pdf({"Page one"});
  pdf.replace(pdf.find("/Count 1"), 8, "/Count 2147483647");
  CHECK(read(pdf).outcome != Outcome::text);
}

TEST_CASE("a PDF without text is empty") {
  CHECK(read(make_pdf({""})).outcome == Outcome::empty);
}

// ---- Office ----

TEST_CASE("a Word document gives its paragraphs and the rows of its tables") {
  const Document document = read(make_docx(
      "<w:p><w:pPr><w:tabs><w:tab/></w:tabs></w:pPr><w:r><w:t>Hello</w:t></w:r><w:r><w:t "
      "xml:space=\"preserve\"> </w:t><w:t>world</w:t><w:br/><w:t>&amp; all</w:t></w:r></w:p>" +
      paragraph(kArabic) + "<w:tbl><w:tr><w:tc>" + paragraph("a") + paragraph("b") +
      "</w:tc><w:tc>" + paragraph("c") + "</w:tc></w:tr></w:tbl>"));
  CHECK(document.type == kWord);
  CHECK(document.text == std::string("Hello world\n& all\n") + kArabic + "\na b\tc\n");
}

TEST_CASE("deleted text and codes of fields in a Word document are left out") {
  CHECK(read(make_docx("<w:p><w:del><w:r><w:delText>gone</w:delText></w:r></w:del><w:r>"
                       "<w:instrText>PAGE</w:instrText><w:t>stays</w:t></w:r></w:p>"))
            .text == "stays\n");
}

TEST_CASE("footnotes of a Word document follow its text") {
  const std::string document = make_zip(
      {{"[Content_Types].xml",
        test::content_types("word/document.xml", "wordprocessingml.document")},
       {"word/document.xml", "<w:document><w:body>" + paragraph("Text") + "</w:body></w:document>"},
       {"word/_rels/document.xml.rels", test::relations({{"r1", "footnotes", "footnotes.xml"}})},
       {"word/footnotes.xml",
        "<w:footnotes><w:footnote>" + paragraph("Note") + "</w:footnote></w:footnotes>"}});
  CHECK(read(document).text == "Text\n\nNote\n");
}

TEST_CASE("a workbook gives its sheets row by row, with shared strings and dates") {
  const std::string workbook = make_zip(
      {{"[Content_Types].xml", test::content_types("xl/workbook.xml", "spreadsheetml.sheet")},
       {"xl/workbook.xml",
        "<workbook><sheets><sheet name=\"Second\" r:id=\"r2\"/><sheet name=\"ورقة\" r:id=\"r1\"/>"
        "</sheets></workbook>"},
       {"xl/_rels/workbook.xml.rels",
        test::relations({{"r1", "worksheet", "worksheets/sheet1.xml"},
                         {"r2", "worksheet", "/xl/worksheets/sheet2.xml"},
                         {"r3", "sharedStrings", "sharedStrings.xml"},
                         {"r4", "styles", "styles.xml"}})},
       {"xl/sharedStrings.xml",
        "<sst><si><t>Name</t></si><si><r><t>سلا</t></r><r><t>م</t></r><rPh><t>x</t></rPh></si></"
        "sst>"},
       {"xl/styles.xml",
        "<styleSheet><numFmts><numFmt numFmtId=\"170\" formatCode=\"yyyy\\-mm\"/></numFmts>"
        "<cellXfs><xf numFmtId=\"0\"/><xf numFmtId=\"14\"/><xf numFmtId=\"170\"/></cellXfs>"
        "</styleSheet>"},
       {"xl/worksheets/sheet1.xml",
        "<worksheet><sheetData><row><c r=\"A1\" t=\"s\"><v>0</v></c><c r=\"C1\" "
        "t=\"s\"><v>1</v></c>"
        "</row><row><c r=\"A2\"><v>1.5</v></c><c r=\"B2\" s=\"1\"><v>45413</v></c><c r=\"C2\" "
        "s=\"2\">"
        "<v>45413.5</v></c><c r=\"D2\" t=\"b\"><v>1</v></c></row></sheetData></worksheet>"},
       {"xl/worksheets/sheet2.xml",
        "<worksheet><sheetData><row><c t=\"inlineStr\"><is><t>in line</t></is></c></row>"
        "</sheetData></worksheet>"}});
  CHECK(read(workbook).text ==
        "Second\nin line\n\nورقة\nName\t\tسلام\n1.5\t2024-05-01\t2024-05-01 12:00:00\tTRUE\n");
}

TEST_CASE("a presentation gives its slides in their order, each with its notes") {
  const auto slide = [](const std::string& text) {
    return "<p:sld><p:cSld><p:txBody><a:p><a:r><a:t>" + text +
           "</a:t></a:r></a:p></p:txBody></p:cSld></p:sld>";
  };
  const std::string slides = make_zip(
      {{"[Content_Types].xml",
        test::content_types("ppt/presentation.xml", "presentationml.presentation")},
       {"ppt/presentation.xml",
        "<p:presentation><p:sldIdLst><p:sldId id=\"256\" r:id=\"r2\"/><p:sldId id=\"257\" "
        "r:id=\"r1\"/></p:sldIdLst></p:presentation>"},
       {"ppt/_rels/presentation.xml.rels", test::relations({{"r1", "slide", "slides/slide1.xml"},
                                                            {"r2", "slide", "slides/slide2.xml"}})},
       {"ppt/slides/slide1.xml", slide("Last")},
       {"ppt/slides/slide2.xml", slide("أولا")},
       {"ppt/slides/_rels/slide2.xml.rels",
        test::relations({{"r1", "notesSlide", "../notesSlides/notesSlide1.xml"}})},
       {"ppt/notesSlides/notesSlide1.xml",
        "<p:notes><a:p><a:r><a:t>Spoken</a:t></a:r><a:fld type=\"slidenum\"><a:t>1</a:t></a:fld>"
        "</a:p></p:notes>"}});
  CHECK(read(slides).text == "أولا\n\nSpoken\n\nLast\n");
}

TEST_CASE("an archive that is no Office document is not opened further") {
  const Document document = read(make_zip({{"inner.docx", make_docx(paragraph("x"))}}));
  CHECK(document.outcome == Outcome::unsupported_type);
  CHECK(document.type == "application/zip");
}

TEST_CASE("an encrypted archive is refused as such") {
  CHECK(read(make_zip({{"a.txt", "secret"}}, "password")).outcome == Outcome::encrypted);
}

TEST_CASE("an encrypted Office document is refused as such") {
  std::string ole = "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + std::string(504, '\0');
  for (const char c : std::string_view("EncryptedPackage")) (ole += c) += '\0';
  CHECK(read(ole).outcome == Outcome::encrypted);
}

TEST_CASE("a document that is cut off is broken") {
  const std::string document = make_docx(paragraph("x"));
  CHECK(read(document.substr(0, document.size() - 40)).outcome == Outcome::broken);
}

TEST_CASE("a document with a wrong checksum is broken") {
  std::string document = make_docx(paragraph(repeated("abcdefgh ijk ", 50)));
  const std::size_t at = document.find("word/document.xml") + 60;
  document[at] = static_cast<char>(document[at] ^ 0x55);
  CHECK(read(document).outcome == Outcome::broken);
}

TEST_CASE("a zip bomb is refused by its ratio") {
  // NOLINTNEXTLINE(bugprone-string-constructor)
  CHECK(read(make_docx(paragraph(std::string(20'000'000, 'a')))).outcome == Outcome::too_large);
}

TEST_CASE("a zip bomb that lies about its size is stopped while inflating") {
  Limits limits;
  limits.inflated_bytes_free = 4096;
  std::string document = make_docx(paragraph(std::string(1'000'000, 'a')));
  // The size of the second entry in the central directory: as if it were 100 bytes.
  const std::size_t entry = document.rfind("word/document.xml") - 46;
  REQUIRE(document.substr(entry, 4) == "PK\x01\x02");
  document.replace(entry + 24, 4, std::string("\x64\0\0\0", 4));
  const Outcome outcome = read(document, limits).outcome;
  CHECK((outcome == Outcome::too_large || outcome == Outcome::broken));
}

TEST_CASE("an archive of more entries than allowed is too large") {
  Limits limits;
  limits.entries_max = 1;
  CHECK(read(make_docx(paragraph("x")), limits).outcome == Outcome::too_large);
}

TEST_CASE("XML that nests too deeply is refused before it is parsed") {
  std::string body;
  for (int i = 0; i < 100'000; ++i) body += fmt::format("<w:p{0}><w:r a=\"{1}\">", i, i * 7919);
  Limits limits;
  limits.ratio_max = 10'000;
  CHECK(read(make_docx(body), limits).outcome == Outcome::too_deep);
}

TEST_CASE("an entity bomb in XML defines nothing") {
  const std::string document = make_zip(
      {{"[Content_Types].xml",
        test::content_types("word/document.xml", "wordprocessingml.document")},
       {"word/document.xml",
        "<!DOCTYPE d [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;&a;\">]><w:document><w:body>" +
            paragraph("x&b;&b;") + "</w:body></w:document>"}});
  const Document read_back = read(document);
  CHECK(read_back.text == "x&b;&b;\n");
}

TEST_CASE("text past its limit is too large") {
  Limits limits;
  limits.text_bytes_max = 10;
  CHECK(read("more than ten bytes", limits).outcome == Outcome::too_large);
  CHECK(read(make_docx(paragraph("more than ten bytes")), limits).outcome == Outcome::too_large);
  CHECK(read("<html><body>more than ten bytes", limits).outcome == Outcome::too_large);
  CHECK(read(make_pdf({"more than ten bytes"}), limits).outcome == Outcome::too_large);
}

}  // namespace parlance::extract
