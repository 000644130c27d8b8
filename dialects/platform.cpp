#include "dialects/platform.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include "base/json.h"
#include "base/nfc.h"
#include "base/uuid.h"
#include "dialects/api_schema.h"

namespace parlance::dialects::platform {
namespace {

using rapidjson::Value;

// ---- Reading ----

std::variant<rapidjson::Document, Problem> read(ApiBody kind, std::string_view body) {
  Result<rapidjson::Document> document = json::parse(body);
  if (!document) return malformed_body(document.error());
  if (!document->IsObject()) {
    return malformed_body({Errc::invalid_argument, "expected a JSON object"});
  }
  std::vector<FieldError> errors = validate(kind, *document);
  if (!errors.empty()) return invalid_body(std::move(errors));
  return std::move(*document);
}

/// The member `name`, or nullptr when it is absent or null.
const Value* given(const Value& object, const char* name) {
  const auto it = object.FindMember(name);
  return it == object.MemberEnd() || it->value.IsNull() ? nullptr : &it->value;
}

/// A text that the schema requires.
std::string text_of(const Value& object, const char* name) {
  return to_nfc(json::view(*given(object, name)));
}

std::optional<std::string> optional_text(const Value& object, const char* name) {
  const Value* const text = given(object, name);
  if (text == nullptr) return std::nullopt;
  return to_nfc(json::view(*text));
}

/// What is wrong with `value`, `depth` levels down in the metadata; empty for nothing.
std::string flaw_of(const Value& value, int depth) {
  if (!value.IsObject() && !value.IsArray()) return {};
  if (depth > kMetadataDepthMax) {
    return fmt::format("`metadata` must be nested at most {} levels deep", kMetadataDepthMax);
  }
  if (value.IsArray()) {
    for (const Value& item : value.GetArray()) {
      if (std::string flaw = flaw_of(item, depth + 1); !flaw.empty()) return flaw;
    }
    return {};
  }
  std::set<std::string_view> names;
  for (const auto& member : value.GetObject()) {
    if (!names.insert(json::view(member.name)).second) {
      return "`metadata` has an object with a member that is given more than once";
    }
    if (std::string flaw = flaw_of(member.value, depth + 1); !flaw.empty()) return flaw;
  }
  return {};
}

std::variant<std::string, Problem> metadata_of(const Value& object) {
  const Value* const metadata = given(object, "metadata");
  if (metadata == nullptr) return "{}";
  std::string flaw = flaw_of(*metadata, 1);
  std::string text;
  if (flaw.empty()) {
    rapidjson::StringBuffer buffer;
    rapidjson::Writer<rapidjson::StringBuffer> writer(buffer);
    metadata->Accept(writer);
    text.assign(buffer.GetString(), buffer.GetSize());
    if (text.size() <= kMetadataBytesMax) return text;
    flaw = fmt::format("`metadata` has {} bytes as JSON; at most {} are allowed", text.size(),
                       kMetadataBytesMax);
  }
  return invalid_body({{"/metadata", std::move(flaw)}});
}

template <class Number>
bool parse_number(std::string_view text, Number& out) {
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), out);
  return parsed.ec == std::errc{} && parsed.ptr == text.data() + text.size();
}

std::string_view trimmed(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

/// Takes an entity tag off the front of `list`; nothing when there is none. The text between the
/// quotes, and whether it is a weak one.
struct EntityTag {
  std::string_view text;
  bool weak = false;
};
std::optional<EntityTag> take_tag(std::string_view& list) {
  EntityTag tag;
  if (list.starts_with("W/")) {
    tag.weak = true;
    list.remove_prefix(2);
  }
  if (!list.starts_with('"')) return std::nullopt;
  const std::size_t end = list.find('"', 1);
  if (end == std::string_view::npos) return std::nullopt;
  tag.text = list.substr(1, end - 1);
  const auto allowed = [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte > 0x20 && byte != 0x7f;
  };
  if (!std::all_of(tag.text.begin(), tag.text.end(), allowed)) return std::nullopt;
  list.remove_prefix(end + 1);
  return tag;
}

// ---- Writing ----

void append_optional(std::string& out, const std::optional<std::string>& text) {
  if (text) {
    json::append_string(out, *text);
  } else {
    out += "null";
  }
}

void append_times(std::string& out, WallTime created, WallTime updated) {
  out += fmt::format(R"(,"created_at":"{}","updated_at":"{}"}})", to_rfc3339(created),
                     to_rfc3339(updated));
}

template <class Entity, class Encode>
std::string list_json(std::span<const Entity> found, std::size_t limit, Encode encode) {
  std::string out = R"({"items":[)";
  std::size_t told = 0;
  for (; told < found.size() && told < limit && out.size() < kListBytesMax; ++told) {
    if (told > 0) out += ',';
    out += encode(found[told]);
  }
  out += R"(],"next_cursor":)";
  if (told > 0 && told < found.size()) {
    json::append_string(out, found[told - 1].id.text);
  } else {
    out += "null";
  }
  out += '}';
  return out;
}

}  // namespace

// ---- Bodies ----

std::variant<AgentSettings, Problem> parse_agent(std::string_view body) {
  auto parsed = read(ApiBody::agent_input, body);
  if (auto* problem = std::get_if<Problem>(&parsed)) return std::move(*problem);
  const auto& object = std::get<rapidjson::Document>(parsed);
  AgentSettings settings;
  settings.name = text_of(object, "name");
  settings.description = optional_text(object, "description");
  settings.prompt = text_of(object, "prompt");
  settings.model = optional_text(object, "model");
  settings.voice = optional_text(object, "voice");
  if (const Value* temperature = given(object, "temperature")) {
    settings.temperature = temperature->GetDouble();
  }
  if (const Value* tools = given(object, "tools")) {
    for (const Value& tool : tools->GetArray()) settings.tools.emplace_back(json::view(tool));
  }
  return settings;
}

std::variant<PlatformSessionSettings, Problem> parse_session(std::string_view body) {
  auto parsed = read(ApiBody::session_input, body);
  if (auto* problem = std::get_if<Problem>(&parsed)) return std::move(*problem);
  const auto& object = std::get<rapidjson::Document>(parsed);
  auto metadata = metadata_of(object);
  if (auto* problem = std::get_if<Problem>(&metadata)) return std::move(*problem);
  return PlatformSessionSettings{.agent = AgentId{text_of(object, "agent_id")},
                                 .title = optional_text(object, "title"),
                                 .metadata = std::get<std::string>(std::move(metadata))};
}

std::variant<TextMessage, Problem> parse_text_message(std::string_view body,
                                                      std::size_t text_bytes_max) {
  auto parsed = read(ApiBody::text_message_input, body);
  if (auto* problem = std::get_if<Problem>(&parsed)) return std::move(*problem);
  const auto& object = std::get<rapidjson::Document>(parsed);
  TextMessage message{SessionId{text_of(object, "session_id")}, text_of(object, "content")};
  if (message.text.size() > text_bytes_max) {
    return invalid_body({{"/content", fmt::format("`content` has {} bytes; at most {} are allowed",
                                                  message.text.size(), text_bytes_max)}});
  }
  return message;
}

std::variant<SessionId, Problem> parse_retry(std::string_view body) {
  auto parsed = read(ApiBody::retry_input, body);
  if (auto* problem = std::get_if<Problem>(&parsed)) return std::move(*problem);
  return SessionId{text_of(std::get<rapidjson::Document>(parsed), "session_id")};
}

// ---- Queries and headers ----

std::variant<ListRange, Problem> parse_range(std::optional<std::string_view> limit,
                                             std::optional<std::string_view> cursor) {
  ListRange range;
  if (limit &&
      (!parse_number(*limit, range.limit) || range.limit == 0 || range.limit > kListLimitMax)) {
    return Problem{.status = 400,
                   .detail = fmt::format("`limit` must be a number from 1 to {}", kListLimitMax)};
  }
  if (cursor) {
    if (!is_uuid(*cursor)) {
      return Problem{.status = 400, .detail = "`cursor` is not one that this server gave"};
    }
    range.before = *cursor;
  }
  return range;
}

std::variant<std::optional<AgentId>, Problem> parse_agent_filter(
    std::optional<std::string_view> agent) {
  if (!agent) return std::optional<AgentId>();
  if (!is_uuid(*agent)) {
    return Problem{.status = 400, .detail = "`agent_id` must be a UUID in lower case"};
  }
  return std::optional(AgentId{std::string(*agent)});
}

std::variant<bool, Problem> parse_cascade(std::optional<std::string_view> cascade) {
  if (!cascade || *cascade == "false") return false;
  if (*cascade == "true") return true;
  return Problem{.status = 400, .detail = "`cascade` must be true or false"};
}

std::variant<VersionCondition, Problem> parse_if_match(std::string_view header) {
  header = trimmed(header);
  if (header.empty() || header == "*") return VersionCondition{};
  VersionCondition condition{.any = false};
  while (!header.empty()) {
    // A list may have empty elements (RFC 9110, 5.6.1).
    if (header.starts_with(',')) {
      header = trimmed(header.substr(1));
      continue;
    }
    const std::optional<EntityTag> tag = take_tag(header);
    header = trimmed(header);
    if (!tag || !(header.empty() || header.starts_with(','))) {
      return Problem{.status = 400,
                     .detail = R"(If-Match must be * or a list of entity tags, such as "3")"};
    }
    std::uint64_t version = 0;
    const bool ours = parse_number(tag->text, version) && std::to_string(version) == tag->text;
    if (ours && !tag->weak) condition.versions.push_back(version);
  }
  return condition;
}

// ---- Entities ----

std::string agent_json(const Agent& agent) {
  const AgentSettings& settings = agent.settings;
  std::string out = R"({"id":)";
  json::append_string(out, agent.id.text);
  out += R"(,"name":)";
  json::append_string(out, settings.name);
  out += R"(,"description":)";
  append_optional(out, settings.description);
  out += R"(,"prompt":)";
  json::append_string(out, settings.prompt);
  out += R"(,"model":)";
  append_optional(out, settings.model);
  out += R"(,"temperature":)";
  out += settings.temperature ? fmt::format("{}", *settings.temperature) : "null";
  out += R"(,"voice":)";
  append_optional(out, settings.voice);
  out += R"(,"tools":[)";
  for (const std::string& tool : settings.tools) {
    if (out.back() != '[') out += ',';
    json::append_string(out, tool);
  }
  out += ']';
  append_times(out, agent.created_at, agent.updated_at);
  return out;
}

std::string session_json(const PlatformSession& session) {
  std::string out = R"({"id":)";
  json::append_string(out, session.id.text);
  out += R"(,"agent_id":)";
  json::append_string(out, session.settings.agent.text);
  out += R"(,"title":)";
  append_optional(out, session.settings.title);
  out += R"(,"metadata":)";
  out += session.settings.metadata;
  append_times(out, session.created_at, session.updated_at);
  return out;
}

std::string agents_json(std::span<const Agent> found, std::size_t limit) {
  return list_json(found, limit, agent_json);
}

std::string sessions_json(std::span<const PlatformSession> found, std::size_t limit) {
  return list_json(found, limit, session_json);
}

std::string etag_of(std::uint64_t version) {
  return fmt::format("\"{}\"", version);
}

Problem no_such_agent() {
  return {.status = 404, .detail = "there is no such agent"};
}

Problem no_such_session() {
  return {.status = 404, .detail = "there is no such session"};
}

Problem no_such_message() {
  return {.status = 404, .detail = "the session has no such message"};
}

}  // namespace parlance::dialects::platform
