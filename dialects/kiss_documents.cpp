#include "dialects/kiss_documents.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <rapidjson/error/en.h>
#include <rapidjson/reader.h>

#include "base/json.h"
#include "dialects/base64.h"

namespace parlance::dialects::kiss {
namespace {

bool is_clean(std::string_view text, std::size_t bytes_max) {
  return !text.empty() && text.size() <= bytes_max && json::valid_utf8(text) &&
         std::none_of(text.begin(), text.end(),
                      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

/// Writes a JSON value from the events of parsing one, numbers as they were given.
class JsonCopy {
 public:
  void literal(std::string_view text) {
    separate();
    text_ += text;
  }
  void string(std::string_view text) {
    separate();
    json::append_string(text_, text);
  }
  void key(std::string_view text) {
    string(text);
    text_ += ':';
  }
  void open(char bracket) {
    separate();
    text_ += bracket;
    ++depth_;
  }
  void close(char bracket) {
    text_ += bracket;
    --depth_;
  }
  int depth() const { return depth_; }
  std::string& text() { return text_; }

 private:
  void separate() {
    if (text_.empty() || text_.back() == '{' || text_.back() == '[' || text_.back() == ':') return;
    text_ += ',';
  }
  std::string text_;
  int depth_ = 0;
};

/// Receives the events of parsing a body. A function that returns false stops the parser, so that
/// the depths it allows also bound the parser's recursion. Depth 1 is the body, 2 a list, 3 one
/// entry of it; nothing else that is wanted lies deeper than metadata, which is copied.
class Collector : public rapidjson::BaseReaderHandler<rapidjson::UTF8<>, Collector> {
 public:
  Collector(const DocumentLimits& limits, const std::function<std::string()>& draw_id)
      : limits_(limits), draw_id_(draw_id) {}

  bool Null() { return scalar("null", true); }
  bool Bool(bool value) { return scalar(value ? "true" : "false", false); }
  bool RawNumber(const char* text, rapidjson::SizeType size, bool /*copy*/) {
    return scalar({text, size}, false);
  }
  bool String(const char* text, rapidjson::SizeType size, bool /*copy*/);
  bool Key(const char* text, rapidjson::SizeType size, bool /*copy*/);
  bool StartObject();
  bool EndObject(rapidjson::SizeType /*count*/);
  bool StartArray();
  bool EndArray(rapidjson::SizeType /*count*/);

  const std::optional<Problem>& problem() const { return problem_; }
  std::variant<StoreDocuments, Problem> finish();

 private:
  enum class List : unsigned char { none, files, documents };
  enum class Field : unsigned char { none, id, name, content, metadata };

  /// Text that lies in the body.
  struct Entry {
    std::optional<std::string_view> id, name, content;
    std::string metadata;
  };

  bool refuse(int status, std::string pointer, std::string message);
  bool refuse_field(std::string_view what);
  bool scalar(std::string_view text, bool is_null);
  bool open_metadata();
  bool close_metadata();
  bool end_entry();
  bool wrong_place(bool is_null);
  bool nest(int by);
  std::string_view list_name() const { return list_ == List::files ? "files" : "documents"; }
  std::string pointer(std::string_view field) const {
    return fmt::format("/{}/{}/{}", list_name(), documents_.size(), field);
  }

  const DocumentLimits& limits_;
  const std::function<std::string()>& draw_id_;
  std::vector<NewDocument> documents_;
  std::unordered_set<std::string> ids_;
  std::optional<Problem> problem_;
  Entry entry_;
  std::optional<JsonCopy> copy_;  ///< While inside of metadata.
  std::string common_metadata_;
  int depth_ = 0;
  int skipped_from_ = 0;  ///< Depth of a value that nobody wants; 0 for none.
  List list_ = List::none;
  Field field_ = Field::none;
  bool key_is_list_ = false;  ///< The key at depth 1 names a list.
  bool files_seen_ = false;
  bool documents_seen_ = false;
};

bool Collector::refuse(int status, std::string pointer, std::string message) {
  if (problem_) return false;
  if (status == 422) {
    problem_ = invalid_body({{std::move(pointer), std::move(message)}});
  } else {
    problem_ = Problem{.status = status, .detail = std::move(message)};
  }
  return false;
}

bool Collector::refuse_field(std::string_view what) {
  constexpr std::string_view kNames[] = {"", "id", "name", "content", "metadata"};
  const std::string_view name = kNames[static_cast<std::size_t>(field_)];
  if (depth_ == 1) return refuse(422, fmt::format("/{}", name), fmt::format("`{}` {}", name, what));
  return refuse(422, pointer(name), fmt::format("`{}` {}", name, what));
}

/// Counts the depth; false past the limit.
bool Collector::nest(int by) {
  depth_ += by;
  if (depth_ <= json::kDepthMax) return true;
  return refuse(400, {}, fmt::format("JSON nested deeper than {} levels", json::kDepthMax));
}

/// A value of the wrong kind where one is wanted; others are ignored.
bool Collector::wrong_place(bool is_null) {
  if (depth_ == 0) return refuse(400, {}, "the body cannot be read: expected a JSON object");
  if (depth_ == 1 && key_is_list_) {
    if (is_null) {
      list_ = List::none;
      return true;
    }
    return refuse(422, fmt::format("/{}", list_name()),
                  fmt::format("`{}` must be a list", list_name()));
  }
  if (depth_ == 2) {
    return refuse(422, fmt::format("/{}/{}", list_name(), documents_.size()),
                  fmt::format("each of `{}` must be an object", list_name()));
  }
  if (field_ == Field::none || is_null) return true;
  return refuse_field(field_ == Field::metadata ? "must be an object" : "must be a string");
}

bool Collector::scalar(std::string_view text, bool is_null) {
  if (skipped_from_ > 0) return true;
  if (copy_) {
    copy_->literal(text);
    return true;
  }
  return wrong_place(is_null);
}

bool Collector::String(const char* text, rapidjson::SizeType size, bool /*copy*/) {
  if (skipped_from_ > 0) return true;
  const std::string_view view(text, size);
  if (copy_) {
    if (!json::valid_utf8(view)) return refuse_field("is not valid UTF-8");
    copy_->string(view);
    return true;
  }
  if (depth_ != 3) return wrong_place(false);
  switch (field_) {
    case Field::id:
      entry_.id = view;
      return true;
    case Field::name:
      entry_.name = view;
      return true;
    case Field::content:
      entry_.content = view;
      return true;
    default:
      return wrong_place(false);
  }
}

bool Collector::Key(const char* text, rapidjson::SizeType size, bool /*copy*/) {
  if (skipped_from_ > 0) return true;
  const std::string_view key(text, size);
  if (copy_) {
    if (!json::valid_utf8(key)) return refuse_field("is not valid UTF-8");
    copy_->key(key);
    return true;
  }
  field_ = key == "metadata" ? Field::metadata : Field::none;
  if (depth_ == 1) {
    key_is_list_ = key == "files" || key == "documents";
    if (key_is_list_) list_ = key == "files" ? List::files : List::documents;
  } else {
    if (key == "id") field_ = Field::id;
    if (key == "name") field_ = Field::name;
    if (key == "content") field_ = Field::content;
  }
  return true;
}

bool Collector::open_metadata() {
  copy_.emplace();
  copy_->open('{');
  return true;
}

bool Collector::close_metadata() {
  std::string text = std::move(copy_->text());
  copy_.reset();
  if (text.size() > limits_.metadata_bytes_max) {
    return refuse_field(fmt::format("has {} bytes; at most {} are allowed", text.size(),
                                    limits_.metadata_bytes_max));
  }
  (depth_ == 1 ? common_metadata_ : entry_.metadata) = std::move(text);
  return true;
}

bool Collector::StartObject() {
  if (copy_) {
    copy_->open('{');
    if (copy_->depth() <= limits_.metadata_depth_max) return true;
    return refuse_field(fmt::format("is nested deeper than {} levels", limits_.metadata_depth_max));
  }
  if (skipped_from_ > 0 || depth_ == 0) return nest(1);
  if (depth_ == 2) {
    if (documents_.size() >= limits_.documents_max) {
      return refuse(422, fmt::format("/{}", list_name()),
                    fmt::format("at most {} documents are taken at once", limits_.documents_max));
    }
    entry_ = {};
    field_ = Field::none;
    return nest(1);
  }
  if (field_ == Field::metadata && (depth_ == 3 || !key_is_list_)) return open_metadata();
  if (!wrong_place(false)) return false;
  skipped_from_ = depth_ + 1;
  return nest(1);
}

bool Collector::EndObject(rapidjson::SizeType /*count*/) {
  if (copy_) {
    copy_->close('}');
    return copy_->depth() > 0 || close_metadata();
  }
  if (skipped_from_ == 0 && depth_ == 3 && !end_entry()) return false;
  if (depth_ == skipped_from_) skipped_from_ = 0;
  return nest(-1);
}

bool Collector::StartArray() {
  if (copy_) {
    copy_->open('[');
    if (copy_->depth() <= limits_.metadata_depth_max) return true;
    return refuse_field(fmt::format("is nested deeper than {} levels", limits_.metadata_depth_max));
  }
  if (skipped_from_ > 0) return nest(1);
  if (depth_ == 1 && key_is_list_) {
    bool& seen = list_ == List::files ? files_seen_ : documents_seen_;
    if (files_seen_ || documents_seen_) {
      return refuse(422, fmt::format("/{}", list_name()),
                    "give either `files` or `documents`, once");
    }
    seen = true;
    return nest(1);
  }
  if (!wrong_place(false)) return false;
  skipped_from_ = depth_ + 1;
  return nest(1);
}

bool Collector::EndArray(rapidjson::SizeType /*count*/) {
  if (copy_) {
    copy_->close(']');
    return true;
  }
  if (depth_ == skipped_from_) skipped_from_ = 0;
  return nest(-1);
}

/// Takes the entry over, or says what is wrong with it.
bool Collector::end_entry() {
  const bool is_file = list_ == List::files;
  const auto refuse_at = [&](std::string_view field, std::string message) {
    return refuse(422, pointer(field), std::move(message));
  };
  const auto limit = [](std::string_view field, std::size_t bytes_max) {
    return fmt::format("`{}` must have 1 to {} bytes and no control characters", field, bytes_max);
  };
  if (is_file && !entry_.name) return refuse_at("name", "`name` is missing");
  if (entry_.name && !is_clean(*entry_.name, kDocumentNameBytesMax)) {
    return refuse_at("name", limit("name", kDocumentNameBytesMax));
  }
  if (entry_.id && !is_clean(*entry_.id, kDocumentIdBytesMax)) {
    return refuse_at("id", limit("id", kDocumentIdBytesMax));
  }
  NewDocument document;
  document.id = entry_.id ? std::string(*entry_.id) : draw_id_();
  document.metadata = std::move(entry_.metadata);
  document.is_file = is_file;
  document.name = entry_.name ? std::string(*entry_.name) : document.id;
  if (!ids_.insert(document.id).second) {
    return refuse_at("id", fmt::format("the id \"{}\" is given more than once", document.id));
  }
  if (!entry_.content) {
    return refuse_at("content", fmt::format("`content` of \"{}\" is missing", document.name));
  }
  if (is_file) {
    std::optional<std::string> bytes = decode_base64(*entry_.content);
    if (!bytes) {
      return refuse(400, {}, fmt::format("the content of \"{}\" is not base64", document.name));
    }
    document.content = std::move(*bytes);
  } else if (!json::valid_utf8(*entry_.content)) {
    return refuse_at("content", fmt::format("`content` of \"{}\" is not UTF-8", document.name));
  } else {
    document.content = *entry_.content;
  }
  if (document.content.empty()) {
    return refuse_at("content", fmt::format("`content` of \"{}\" is empty", document.name));
  }
  documents_.push_back(std::move(document));
  return true;
}

std::variant<StoreDocuments, Problem> Collector::finish() {
  if (!files_seen_ && !documents_seen_) {
    return invalid_body({{"", "`files` or `documents` is missing"}});
  }
  if (documents_.empty()) {
    const std::string name = files_seen_ ? "files" : "documents";
    return invalid_body({{"/" + name, fmt::format("`{}` must not be empty", name)}});
  }
  if (common_metadata_.empty()) common_metadata_ = "{}";
  for (NewDocument& document : documents_) {
    if (document.metadata.empty()) document.metadata = common_metadata_;
  }
  StoreDocuments command;
  command.documents = std::move(documents_);
  return command;
}

}  // namespace

std::variant<StoreDocuments, Problem> parse_documents(std::string& body, std::size_t begin,
                                                      std::size_t bytes,
                                                      const std::function<std::string()>& draw_id,
                                                      const DocumentLimits& limits) {
  const std::string_view text = std::string_view(body).substr(begin, bytes);
  if (text.find('\0') != std::string_view::npos) {
    return malformed_body({Errc::invalid_argument, "not valid JSON: a zero byte"});
  }
  // The parser reads to a zero byte: what follows the value is cut off, and the string's own end
  // is one already.
  const std::size_t end = begin + text.size();
  if (end < body.size()) body[end] = '\0';

  Collector collector(limits, draw_id);
  rapidjson::InsituStringStream stream(body.data() + begin);
  rapidjson::Reader reader;
  constexpr unsigned kFlags = rapidjson::kParseInsituFlag | rapidjson::kParseNumbersAsStringsFlag;
  const rapidjson::ParseResult parsed = reader.Parse<kFlags>(stream, collector);
  if (collector.problem()) return *collector.problem();
  if (parsed.IsError()) {
    return malformed_body(
        {Errc::invalid_argument, fmt::format("not valid JSON at byte {}: {}", parsed.Offset(),
                                             rapidjson::GetParseError_En(parsed.Code()))});
  }
  return collector.finish();
}

}  // namespace parlance::dialects::kiss
