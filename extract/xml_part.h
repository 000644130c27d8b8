// One XML part of an Office document as a tree. No document type is read, so no entity is defined.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include <pugixml.hpp>

#include "extract/document.h"

namespace parlance::extract {

/// The tree points into the bytes: both live and move together.
struct XmlPart {
  std::string bytes;
  pugi::xml_document tree;
};

/// Refuses: broken, too_deep (pugixml destroys and we walk by recursion), too_large (memory).
Extracted<std::unique_ptr<XmlPart>> parse_xml(std::string_view bytes, const Limits& limits);

/// The name without its namespace prefix, which writers choose freely.
std::string_view local_name(const pugi::xml_node& node);
std::string_view local_name(const pugi::xml_attribute& attribute);

/// The value of the first attribute with that local name; "" when there is none.
const char* attribute(const pugi::xml_node& node, std::string_view name);

}  // namespace parlance::extract
