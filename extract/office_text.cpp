#include "extract/office_text.h"

#include "extract/markup_writer.h"
#include "extract/spreadsheet_text.h"
#include "extract/text_sink.h"

namespace parlance::extract {
namespace {

Outcome write_part(OfficePackage& package, const std::string& name, TextSink& sink) {
  auto part = package.part(name);
  if (!part) return part.error();
  MarkupWriter(sink).write((*part)->tree.document_element());
  return Outcome::text;
}

/// Writes the parts that `name` points at by a relationship of `type`.
Outcome write_related(OfficePackage& package, const std::string& name, std::string_view type,
                      TextSink& sink) {
  auto relations = package.relations(name);
  if (!relations) return relations.error();
  for (const auto& [id, target] : *relations) {
    if (target.type != type) continue;
    sink.end_block();
    const Outcome outcome = write_part(package, target.part, sink);
    if (outcome != Outcome::text) return outcome;
  }
  return Outcome::text;
}

Outcome write_word(OfficePackage& package, TextSink& sink) {
  Outcome outcome = write_part(package, package.main_part(), sink);
  for (const std::string_view notes : {"footnotes", "endnotes"}) {
    if (outcome == Outcome::text)
      outcome = write_related(package, package.main_part(), notes, sink);
  }
  return outcome;
}

Outcome write_presentation(OfficePackage& package, TextSink& sink) {
  auto main = package.part(package.main_part());
  if (!main) return main.error();
  auto relations = package.relations(package.main_part());
  if (!relations) return relations.error();
  for (const pugi::xml_node& list : (*main)->tree.document_element().children()) {
    if (local_name(list) != "sldIdLst") continue;
    for (const pugi::xml_node& slide : list.children()) {
      // `r:id` among `id`: the one with a prefix is the relationship.
      std::string_view id;
      for (const pugi::xml_attribute& each : slide.attributes()) {
        if (local_name(each) == "id" && local_name(each) != each.name()) id = each.value();
      }
      const auto target = relations->find(id);
      if (target == relations->end()) return Outcome::broken;
      sink.end_block();
      Outcome outcome = write_part(package, target->second.part, sink);
      if (outcome == Outcome::text) {
        outcome = write_related(package, target->second.part, "notesSlide", sink);
      }
      if (outcome != Outcome::text) return outcome;
      if (sink.full()) return Outcome::too_large;
    }
  }
  return Outcome::text;
}

}  // namespace

Extracted<std::string> office_text(OfficePackage& package, const Limits& limits) {
  TextSink sink(limits.text_bytes_max);
  Outcome outcome = Outcome::broken;
  switch (package.kind()) {
    case OfficeKind::word:
      outcome = write_word(package, sink);
      break;
    case OfficeKind::spreadsheet:
      outcome = write_spreadsheet(package, sink);
      break;
    case OfficeKind::presentation:
      outcome = write_presentation(package, sink);
      break;
    case OfficeKind::other_archive:
      return Outcome::unsupported_type;
  }
  if (outcome != Outcome::text) return outcome;
  if (sink.full()) return Outcome::too_large;
  return sink.take();
}

}  // namespace parlance::extract
