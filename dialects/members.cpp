#include "dialects/members.h"

#include <cstdint>

#include <fmt/format.h>
#include <rapidjson/error/en.h>
#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>

#include "base/json.h"

namespace parlance::dialects {
namespace {

/// Receives the parse events; returning false stops the parser, so the depth limit also bounds the
/// parser's recursion.
class Collector : public rapidjson::BaseReaderHandler<rapidjson::UTF8<>, Collector> {
 public:
  explicit Collector(std::span<Member> members) : members_(members) {}

  bool Default() { return value(Member::Kind::other); }
  bool Null() { return value(Member::Kind::null); }
  bool String(const char* text, rapidjson::SizeType size, bool /*copy*/) {
    if (depth_ == 1 && current_ != nullptr) {
      current_->text.assign(text, size);
      if (!json::valid_utf8(current_->text)) {
        error_ = fmt::format("`{}` is not valid UTF-8", current_->name);
        return false;
      }
    }
    return value(Member::Kind::text);
  }
  bool Key(const char* text, rapidjson::SizeType size, bool /*copy*/) {
    if (depth_ != 1) return true;
    current_ = nullptr;
    for (Member& member : members_) {
      if (member.name == std::string_view(text, size)) current_ = &member;
    }
    return true;
  }
  bool StartObject() { return open(); }
  bool StartArray() { return open(); }
  bool EndObject(rapidjson::SizeType /*count*/) { return close(); }
  bool EndArray(rapidjson::SizeType /*count*/) { return close(); }

  const std::string& error() const { return error_; }

 private:
  bool value(Member::Kind kind) {
    if (depth_ == 0) return refuse_non_object();
    if (depth_ == 1 && current_ != nullptr) current_->kind = kind;
    return true;
  }
  bool open() {
    if (depth_ == 1 && current_ != nullptr) current_->kind = Member::Kind::other;
    if (++depth_ <= json::kDepthMax) return true;
    error_ = fmt::format("JSON nested deeper than {} levels", json::kDepthMax);
    return false;
  }
  bool close() {
    --depth_;
    return true;
  }
  bool refuse_non_object() {
    error_ = "expected a JSON object";
    return false;
  }

  std::span<Member> members_;
  Member* current_ = nullptr;
  int depth_ = 0;
  std::string error_;
};

}  // namespace

Status read_members(std::string_view text, std::span<Member> members) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first != std::string_view::npos && text[first] == '[') {
    return Error{Errc::invalid_argument, "expected a JSON object"};
  }
  Collector collector(members);
  rapidjson::MemoryStream stream(text.data(), text.size());
  rapidjson::Reader reader;
  const rapidjson::ParseResult parsed = reader.Parse(stream, collector);
  // RapidJSON takes a zero byte for the end of its input, so it may not have looked at all of it.
  if (!parsed.IsError() && stream.Tell() < text.size()) {
    return Error{Errc::invalid_argument,
                 fmt::format("not valid JSON at byte {}: A zero byte.", stream.Tell())};
  }
  if (!parsed.IsError()) return {};
  if (!collector.error().empty()) return Error{Errc::invalid_argument, collector.error()};
  return Error{Errc::invalid_argument, fmt::format("not valid JSON at byte {}: {}", parsed.Offset(),
                                                   rapidjson::GetParseError_En(parsed.Code()))};
}

}  // namespace parlance::dialects
