#include "extract/markup_writer.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "extract/xml_part.h"

namespace parlance::extract {
namespace {

bool is_text(const pugi::xml_node& node) {
  return node.type() == pugi::node_pcdata || node.type() == pugi::node_cdata;
}

/// Properties, what a reader does not see, and `Fallback`, which says its `Choice` again.
bool is_skipped(const pugi::xml_node& node, std::string_view name) {
  constexpr std::array<std::string_view, 5> kSkipped = {"Fallback", "del", "moveFrom", "instrText",
                                                        "delText"};
  if (name.ends_with("Pr")) return true;
  if (name == "fld") return std::string_view(attribute(node, "type")) == "slidenum";
  return std::find(kSkipped.begin(), kSkipped.end(), name) != kSkipped.end();
}

}  // namespace

void MarkupWriter::write(const pugi::xml_node& node) {
  const std::string_view name = local_name(node);
  if (sink_.full() || is_skipped(node, name)) return;
  if (name == "t") {
    for (const pugi::xml_node& child : node.children()) {
      if (is_text(child)) sink_.append(child.value());
    }
  } else if (name == "tab" || name == "ptab") {
    sink_.append("\t");
  } else if (name == "br" || name == "cr") {
    sink_.append(cells_ > 0 ? " " : "\n");
  } else if (name == "noBreakHyphen") {
    sink_.append("-");
  } else if (name == "p") {
    write_children(node);
    if (cells_ == 0) {
      sink_.end_line();
    } else if (!sink_.at_blank()) {
      sink_.append(" ");
    }
  } else if (name == "tr") {
    write_row(node);
  } else {
    write_children(node);
  }
}

void MarkupWriter::write_children(const pugi::xml_node& node) {
  for (const pugi::xml_node& child : node.children()) write(child);
}

void MarkupWriter::write_row(const pugi::xml_node& row) {
  bool first = true;
  for (const pugi::xml_node& cell : row.children()) {
    const std::string_view name = local_name(cell);
    if (is_skipped(cell, name)) continue;
    if (!first) sink_.append("\t");
    first = false;
    ++cells_;
    write_children(cell);
    --cells_;
    sink_.trim();
  }
  if (cells_ == 0) sink_.end_line();
}

}  // namespace parlance::extract
