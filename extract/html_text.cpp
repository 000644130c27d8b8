#include "extract/html_text.h"

#include <algorithm>
#include <array>
#include <climits>
#include <memory>

#include <libxml/HTMLparser.h>
#include <libxml/parserInternals.h>

#include "extract/text_sink.h"

namespace parlance::extract {
namespace {

template <class Names>
bool among(std::string_view name, const Names& names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// What is not read as part of the page.
constexpr auto kDropped = std::to_array<std::string_view>(
    {"script", "style", "template", "noscript", "svg", "object", "iframe"});
constexpr auto kLines = std::to_array<std::string_view>(
    {"address", "dd", "div", "dl", "dt", "fieldset", "figcaption", "form", "hr", "li", "option",
     "ol", "tr", "ul", "caption", "br"});
constexpr auto kBlocks = std::to_array<std::string_view>(
    {"article", "aside", "blockquote", "body",    "figure", "footer", "h1",
     "h2",      "h3",    "h4",         "h5",      "h6",     "header", "main",
     "nav",     "p",     "pre",        "section", "table",  "title"});

/// Hears the parser's events and writes the text. No tree is built, so depth costs no memory.
class Reader {
 public:
  Reader(htmlParserCtxtPtr parser, const Limits& limits)
      : parser_(parser), limits_(limits), sink_(limits.text_bytes_max) {}

  void start(std::string_view name) {
    if (++depth_ > limits_.depth_max) return stop(Outcome::too_deep);
    if (dropped_at_ != 0) return;
    if (among(name, kDropped)) {
      dropped_at_ = depth_;
      return;
    }
    if (name == "pre" || name == "textarea") ++preformatted_;
    if (name == "td" || name == "th") {
      cell();
    } else {
      boundary(name);
    }
  }

  void end(std::string_view name) {
    const int depth = depth_--;
    if (dropped_at_ != 0) {
      if (depth == dropped_at_) dropped_at_ = 0;
      return;
    }
    if (name == "pre" || name == "textarea") --preformatted_;
    if (name != "br") boundary(name);
  }

  void text(std::string_view piece) {
    if (dropped_at_ != 0) return;
    if (preformatted_ > 0) {
      sink_.append(piece);
    } else {
      append_flowing(piece);
    }
    if (sink_.full()) stop(Outcome::too_large);
  }

  Extracted<std::string> finish() {
    if (outcome_ != Outcome::text) return outcome_;
    return sink_.take();
  }

 private:
  void stop(Outcome outcome) {
    if (outcome_ == Outcome::text) outcome_ = outcome;
    xmlStopParser(parser_);
  }

  void boundary(std::string_view name) {
    if (name == "tr") row_begins_ = true;
    if (among(name, kLines)) sink_.end_line();
    if (among(name, kBlocks)) sink_.end_block();
  }

  void cell() {
    if (!row_begins_) sink_.append("\t");
    row_begins_ = false;
  }

  /// Every run of blanks is one space, and none begins a line.
  void append_flowing(std::string_view piece) {
    constexpr std::string_view kBlanks = " \t\r\n\f";
    while (!piece.empty()) {
      const std::size_t word = std::min(piece.find_first_not_of(kBlanks), piece.size());
      if (word > 0 && !sink_.at_blank()) sink_.append(" ");
      piece.remove_prefix(word);
      const std::size_t end = std::min(piece.find_first_of(kBlanks), piece.size());
      sink_.append(piece.substr(0, end));
      piece.remove_prefix(end);
    }
  }

  htmlParserCtxtPtr parser_;
  const Limits& limits_;
  TextSink sink_;
  Outcome outcome_ = Outcome::text;
  int depth_ = 0;
  int dropped_at_ = 0;  // The depth of the element that is dropped with all in it; 0 for none.
  int preformatted_ = 0;
  bool row_begins_ = true;
};

std::string_view view(const xmlChar* name) {
  return reinterpret_cast<const char*>(name);
}

htmlSAXHandler make_handler() {
  htmlSAXHandler handler{};
  handler.startElement = [](void* reader, const xmlChar* name, const xmlChar**) {
    static_cast<Reader*>(reader)->start(view(name));
  };
  handler.endElement = [](void* reader, const xmlChar* name) {
    static_cast<Reader*>(reader)->end(view(name));
  };
  handler.characters = [](void* reader, const xmlChar* text, int size) {
    static_cast<Reader*>(reader)->text(
        {reinterpret_cast<const char*>(text), static_cast<std::size_t>(size)});
  };
  handler.ignorableWhitespace = handler.characters;
  return handler;
}

}  // namespace

std::string_view declared_charset(std::string_view bytes) {
  constexpr std::string_view kName =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:";
  const std::string_view head = bytes.substr(0, 4096);
  for (const std::string_view word : {"charset=", "CHARSET=", "encoding="}) {
    std::size_t at = head.find(word);
    if (at == std::string_view::npos) continue;
    at += word.size();
    if (at < head.size() && (head[at] == '"' || head[at] == '\'')) ++at;
    const std::size_t end = std::min(head.find_first_not_of(kName, at), head.size());
    if (end > at && end - at <= 40) return head.substr(at, end - at);
  }
  return {};
}

Extracted<std::string> html_text(std::string_view html, const Limits& limits) {
  if (html.size() > INT_MAX) return Outcome::too_large;
  htmlSAXHandler handler = make_handler();
  const std::unique_ptr<htmlParserCtxt, decltype(&htmlFreeParserCtxt)> parser(htmlNewParserCtxt(),
                                                                              htmlFreeParserCtxt);
  if (!parser) return Outcome::too_large;
  Reader reader(parser.get(), limits);
  *parser->sax = handler;
  parser->userData = &reader;
  htmlCtxtReadMemory(parser.get(), html.data(), static_cast<int>(html.size()), nullptr, "UTF-8",
                     HTML_PARSE_NONET | HTML_PARSE_NOERROR | HTML_PARSE_NOWARNING |
                         HTML_PARSE_RECOVER | HTML_PARSE_COMPACT);
  if (parser->errNo == XML_ERR_NO_MEMORY) return Outcome::too_large;
  return reader.finish();
}

}  // namespace parlance::extract
