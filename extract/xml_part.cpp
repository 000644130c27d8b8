#include "extract/xml_part.h"

#include <algorithm>

#include "extract/charset.h"

namespace parlance::extract {
namespace {

/// The position behind `end`, searched from `from`; the size of `xml` when there is none.
std::size_t behind(std::string_view xml, std::string_view end, std::size_t from) {
  const std::size_t at = xml.find(end, from);
  return at == std::string_view::npos ? xml.size() : at + end.size();
}

/// The position of the '>' of the tag at `from`, over quoted values.
std::size_t tag_end(std::string_view xml, std::size_t from) {
  char quote = 0;
  for (std::size_t i = from; i < xml.size(); ++i) {
    const char c = xml[i];
    if (quote != 0) {
      if (c == quote) quote = 0;
    } else if (c == '"' || c == '\'') {
      quote = c;
    } else if (c == '>') {
      return i;
    }
  }
  return xml.size();
}

/// Whether elements nest deeper than `depth_max`, found before a tree is built.
bool deeper_than(std::string_view xml, int depth_max) {
  int depth = 0;
  for (std::size_t i = xml.find('<'); i < xml.size(); i = xml.find('<', i)) {
    const std::string_view rest = xml.substr(i);
    if (rest.starts_with("<!--")) {
      i = behind(xml, "-->", i + 4);
    } else if (rest.starts_with("<![CDATA[")) {
      i = behind(xml, "]]>", i);
    } else if (rest.starts_with("<?") || rest.starts_with("<!")) {
      i = behind(xml, ">", i);
    } else if (rest.starts_with("</")) {
      --depth;
      i = behind(xml, ">", i);
    } else {
      i = tag_end(xml, i);
      if (i < xml.size() && xml[i - 1] == '/') continue;
      if (++depth > depth_max) return true;
    }
  }
  return false;
}

std::string_view behind_colon(std::string_view name) {
  const std::size_t colon = name.find(':');
  return colon == std::string_view::npos ? name : name.substr(colon + 1);
}

}  // namespace

Extracted<std::unique_ptr<XmlPart>> parse_xml(std::string_view bytes, const Limits& limits) {
  auto utf8 = to_utf8(bytes, "", limits.inflated_bytes_max);
  if (!utf8) return utf8.error() == Outcome::too_large ? Outcome::too_large : Outcome::broken;
  if (deeper_than(*utf8, limits.depth_max)) return Outcome::too_deep;

  auto part = std::make_unique<XmlPart>();
  part->bytes = std::move(*utf8);
  constexpr unsigned kFlags =
      pugi::parse_cdata | pugi::parse_escapes | pugi::parse_eol | pugi::parse_ws_pcdata_single;
  const auto parsed = part->tree.load_buffer_inplace(part->bytes.data(), part->bytes.size(), kFlags,
                                                     pugi::encoding_utf8);
  if (parsed.status == pugi::status_out_of_memory) return Outcome::too_large;
  if (!parsed) return Outcome::broken;
  return part;
}

std::string_view local_name(const pugi::xml_node& node) {
  return behind_colon(node.name());
}

std::string_view local_name(const pugi::xml_attribute& attribute) {
  return behind_colon(attribute.name());
}

const char* attribute(const pugi::xml_node& node, std::string_view name) {
  for (const pugi::xml_attribute& each : node.attributes()) {
    if (local_name(each) == name) return each.value();
  }
  return "";
}

}  // namespace parlance::extract
