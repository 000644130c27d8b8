// Writes the paragraphs and tables of WordprocessingML and DrawingML (slides) as lines of text.
#pragma once

#include <pugixml.hpp>

#include "extract/text_sink.h"

namespace parlance::extract {

class MarkupWriter {
 public:
  explicit MarkupWriter(TextSink& sink) : sink_(sink) {}

  /// Writes all that is in `node`. Recurses, no deeper than its tree.
  void write(const pugi::xml_node& node);

 private:
  void write_children(const pugi::xml_node& node);
  void write_row(const pugi::xml_node& row);

  TextSink& sink_;
  int cells_ = 0;  // Table cells that are open: inside one, a row stays on its line.
};

}  // namespace parlance::extract
