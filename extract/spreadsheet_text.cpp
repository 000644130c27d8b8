#include "extract/spreadsheet_text.h"

#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "extract/markup_writer.h"

namespace parlance::extract {
namespace {

// A lone cell far to the right does not make thousands of tabs.
constexpr std::size_t kGapMax = 64;

struct Workbook {
  std::vector<std::string> strings;
  std::vector<bool> is_date;  ///< By style of a cell.
  bool from_1904 = false;     ///< What day 0 is.
};

/// A number at the start of `text`; nothing else in it matters.
template <class T>
T number(std::string_view text, T otherwise) {
  T value{};
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  return read.ec == std::errc{} ? value : otherwise;
}

/// The `t` texts inside `node` on one line, without phonetic hints.
void append_runs(const pugi::xml_node& node, std::string& line) {
  for (const pugi::xml_node& child : node.children()) {
    const std::string_view name = local_name(child);
    if (name == "rPh") continue;
    if (name == "t") {
      for (const char c : std::string_view(child.child_value())) {
        line += c == '\n' || c == '\r' || c == '\t' ? ' ' : c;
      }
    } else {
      append_runs(child, line);
    }
  }
}

/// Whether a format code shows a date or a time: a letter of one outside quotes and brackets.
bool shows_date(std::string_view code) {
  char closing = 0;
  for (std::size_t i = 0; i < code.size(); ++i) {
    const char c = code[i];
    if (closing != 0) {
      if (c == closing) closing = 0;
    } else if (c == '\\' || c == '_' || c == '*') {
      ++i;
    } else if (c == '"' || c == '[') {
      closing = c == '"' ? '"' : ']';
    } else if (std::string_view("yYdDhH").find(c) != std::string_view::npos) {
      return true;
    }
  }
  return false;
}

std::vector<bool> read_date_styles(const pugi::xml_node& styles) {
  std::set<int> dates;
  for (const int builtin : {14, 15, 16, 17, 18, 19, 20, 21, 22, 45, 46, 47}) dates.insert(builtin);
  std::vector<bool> is_date;
  for (const pugi::xml_node& list : styles.children()) {
    const std::string_view name = local_name(list);
    if (name != "numFmts" && name != "cellXfs") continue;
    for (const pugi::xml_node& entry : list.children()) {
      const int format = number(attribute(entry, "numFmtId"), 0);
      if (name == "cellXfs") {
        is_date.push_back(dates.contains(format));
      } else if (shows_date(attribute(entry, "formatCode"))) {
        dates.insert(format);
      }
    }
  }
  return is_date;
}

/// A day number of Excel as "2024-05-01", "2024-05-01 13:30:00" or "13:30:00".
std::string date_text(std::string_view value, bool from_1904) {
  using namespace std::chrono;
  constexpr double kDayMax = 2'958'466;  // The year 10000.
  const double number_of_days = number(value, -1.0);
  if (!(number_of_days >= 0 && number_of_days < kDayMax)) return std::string(value);
  const auto all = static_cast<std::int64_t>(std::llround(number_of_days * 86'400));
  const std::int64_t day = all / 86'400;
  const std::int64_t second = all % 86'400;
  // Excel counts a 29 February 1900, which the epoch of 30 December makes up for.
  const sys_days zero = from_1904 ? sys_days(year{1904} / 1 / 1) : sys_days(year{1899} / 12 / 30);
  const year_month_day date(zero + days(day));
  std::string time = fmt::format("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60);
  if (day == 0) return time;
  std::string text =
      fmt::format("{:04}-{:02}-{:02}", static_cast<int>(date.year()),
                  static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()));
  return second == 0 ? text : text + " " + time;
}

std::string cell_text(const pugi::xml_node& cell, const Workbook& book) {
  const std::string_view type = attribute(cell, "t");
  std::string text;
  std::string_view value;
  for (const pugi::xml_node& child : cell.children()) {
    if (local_name(child) == "v") value = child.child_value();
    if (local_name(child) == "is") append_runs(child, text);
  }
  if (type == "inlineStr") return text;
  if (type == "s") {
    const auto index = number(value, book.strings.size());
    return index < book.strings.size() ? book.strings[index] : "";
  }
  if (type == "b") return value == "1" ? "TRUE" : "FALSE";
  const auto style = number(std::string_view(attribute(cell, "s")), std::size_t{0});
  const bool is_number = type.empty() || type == "n";
  if (is_number && !value.empty() && style < book.is_date.size() && book.is_date[style]) {
    return date_text(value, book.from_1904);
  }
  return std::string(value);
}

/// The column, from 0, of a reference such as "AB12"; `otherwise` without letters.
std::size_t column_of(std::string_view reference, std::size_t otherwise) {
  std::size_t column = 0;
  std::size_t i = 0;
  for (; i < reference.size() && i < 3 && reference[i] >= 'A' && reference[i] <= 'Z'; ++i) {
    column = column * 26 + static_cast<std::size_t>(reference[i] - 'A' + 1);
  }
  return i == 0 ? otherwise : column - 1;
}

void write_row(const pugi::xml_node& row, const Workbook& book, TextSink& sink) {
  std::size_t column = 0;
  for (const pugi::xml_node& cell : row.children()) {
    if (local_name(cell) != "c") continue;
    if (sink.full()) return;
    const std::size_t here = column_of(attribute(cell, "r"), column);
    const std::string text = cell_text(cell, book);
    if (text.empty()) continue;
    if (here > column) sink.append(std::string(std::min(here - column, kGapMax), '\t'));
    column = std::max(column, here);
    sink.append(text);
  }
  sink.end_line();
}

Outcome write_sheet(OfficePackage& package, const std::string& part, const Workbook& book,
                    TextSink& sink) {
  auto sheet = package.part(part);
  if (!sheet) return sheet.error();
  for (const pugi::xml_node& child : (*sheet)->tree.document_element().children()) {
    if (local_name(child) != "sheetData") continue;
    for (const pugi::xml_node& row : child.children()) {
      write_row(row, book, sink);
      if (sink.full()) return Outcome::too_large;
    }
  }
  return Outcome::text;
}

Outcome read_workbook(OfficePackage& package, const OfficePackage::Relations& relations,
                      Workbook& book) {
  for (const auto& [id, target] : relations) {
    if (target.type != "sharedStrings" && target.type != "styles") continue;
    auto part = package.part(target.part);
    if (!part) return part.error();
    const pugi::xml_node root = (*part)->tree.document_element();
    if (target.type == "styles") {
      book.is_date = read_date_styles(root);
      continue;
    }
    for (const pugi::xml_node& item : root.children())
      append_runs(item, book.strings.emplace_back());
  }
  return Outcome::text;
}

}  // namespace

Outcome write_spreadsheet(OfficePackage& package, TextSink& sink) {
  auto main = package.part(package.main_part());
  if (!main) return main.error();
  auto relations = package.relations(package.main_part());
  if (!relations) return relations.error();
  Workbook book;
  Outcome outcome = read_workbook(package, *relations, book);
  for (const pugi::xml_node& list : (*main)->tree.document_element().children()) {
    if (local_name(list) == "workbookPr") {
      const std::string_view flag = attribute(list, "date1904");
      book.from_1904 = flag == "1" || flag == "true";
    }
    if (local_name(list) != "sheets") continue;
    for (const pugi::xml_node& sheet : list.children()) {
      if (outcome != Outcome::text) return outcome;
      const auto target = relations->find(attribute(sheet, "id"));
      if (target == relations->end()) return Outcome::broken;
      if (target->second.type != "worksheet") continue;  // A chart has no cells.
      sink.end_block();
      sink.append(attribute(sheet, "name"));
      sink.end_line();
      outcome = write_sheet(package, target->second.part, book, sink);
    }
  }
  return outcome;
}

}  // namespace parlance::extract
