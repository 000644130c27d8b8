#include "dialects/api_schema.h"

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <rapidjson/schema.h>

#include "base/check.h"
#include "base/embedded_file.h"

namespace parlance::dialects {

/// The schemas of ApiBody, in its order.
std::span<const EmbeddedFile> api_schema_files();

namespace {

using rapidjson::Value;

/// Longer names of members are not repeated to the client.
constexpr std::size_t kNameBytesMax = 100;

const Value* find(const Value& schema, const char* keyword) {
  const auto it = schema.FindMember(keyword);
  return it == schema.MemberEnd() ? nullptr : &it->value;
}

std::optional<std::uint64_t> number(const Value& schema, const char* keyword) {
  const Value* value = find(schema, keyword);
  return value == nullptr ? std::nullopt : std::optional(value->GetUint64());
}

bool takes(const Value& schema, std::string_view type) {
  const Value* types = find(schema, "type");
  if (types == nullptr) return false;
  if (types->IsString()) return json::view(*types) == type;
  return std::any_of(types->Begin(), types->End(),
                     [&](const Value& each) { return json::view(each) == type; });
}

/// 32000 as "32,000".
std::string grouped(std::uint64_t value) {
  std::string out = std::to_string(value);
  for (std::size_t end = out.size(); end > 3; end -= 3) out.insert(end - 3, ",");
  return out;
}

std::string text_sentence(const Value& schema) {
  const Value* format = find(schema, "format");
  if (format != nullptr && json::view(*format) == "uuid") return "a UUID in lower case";
  const auto least = number(schema, "minLength").value_or(0);
  const auto most = number(schema, "maxLength");
  std::string out = "a string";
  if (most) {
    out += least > 0 ? fmt::format(" of {} to {} characters", least, grouped(*most))
                     : fmt::format(" of at most {} characters", grouped(*most));
  }
  if (const Value* pattern = find(schema, "pattern")) {
    out += fmt::format(" that matches {}", json::view(*pattern));
  }
  return out;
}

/// What a value of `schema` must be: "a string of 1 to 200 characters".
std::string sentence_of(const Value& schema) {
  std::string out;
  if (takes(schema, "string")) {
    out = text_sentence(schema);
  } else if (takes(schema, "number")) {
    out = fmt::format("a number from {} to {}", find(schema, "minimum")->GetDouble(),
                      find(schema, "maximum")->GetDouble());
  } else if (takes(schema, "array")) {
    out = fmt::format("a list of at most {}{} items", grouped(*number(schema, "maxItems")),
                      find(schema, "uniqueItems") != nullptr ? " different" : "");
  } else {
    CHECK(takes(schema, "object"));
    const auto most = number(schema, "maxProperties");
    out = most ? fmt::format("an object of at most {} members", grouped(*most)) : "an object";
  }
  if (takes(schema, "null")) out += ", or null";
  return out;
}

/// One schema with those of its members and items, so that what is wrong can be looked for in them.
class Schema {
 public:
  explicit Schema(const Value& schema);

  /// Appends what is wrong with `value`, which is at `pointer`.
  void check(const Value& value, const std::string& pointer, std::vector<FieldError>& errors) const;

 private:
  /// What RapidJSON's validator must not be asked: it compares the items of a list that must differ
  /// with each other before it counts them, and a zero byte ends what it matches with a pattern.
  bool beyond_validator(const Value& value) const;
  void check_members(const Value& object, const std::string& pointer,
                     std::vector<FieldError>& errors) const;
  std::string known_members() const;

  rapidjson::SchemaDocument validator_;
  std::string sentence_;
  std::map<std::string, Schema, std::less<>> members_;
  std::vector<std::string> required_;
  std::unique_ptr<Schema> items_;
  std::uint64_t items_max_;
  bool has_pattern_;
};

Schema::Schema(const Value& schema)
    : validator_(schema),
      sentence_(sentence_of(schema)),
      items_max_(number(schema, "maxItems").value_or(UINT64_MAX)),
      has_pattern_(find(schema, "pattern") != nullptr) {
  if (const Value* members = find(schema, "properties")) {
    for (const auto& member : members->GetObject()) {
      members_.try_emplace(std::string(json::view(member.name)), member.value);
    }
  }
  if (const Value* required = find(schema, "required")) {
    for (const Value& name : required->GetArray()) required_.emplace_back(json::view(name));
  }
  if (const Value* items = find(schema, "items")) items_ = std::make_unique<Schema>(*items);
}

/// How a sentence names what is at `pointer`.
std::string name_of(const std::string& pointer) {
  return pointer.empty() ? "the body" : fmt::format("`{}`", std::string_view(pointer).substr(1));
}

void add(std::vector<FieldError>& errors, const std::string& pointer, std::string_view what) {
  if (errors.size() < kFieldErrorsMax) {
    errors.push_back({pointer, fmt::format("{} {}", name_of(pointer), what)});
  }
}

/// `name` as a step of a JSON Pointer.
std::string step_to(std::string_view name) {
  std::string out = "/";
  for (const char c : name) {
    if (c == '~' || c == '/') {
      out += c == '~' ? "~0" : "~1";
    } else {
      out += c;
    }
  }
  return out;
}

bool Schema::beyond_validator(const Value& value) const {
  if (value.IsArray()) return value.Size() > items_max_;
  return has_pattern_ && value.IsString() && json::view(value).find('\0') != std::string_view::npos;
}

std::string Schema::known_members() const {
  std::string out;
  for (const auto& [name, schema] : members_) {
    if (!out.empty()) out += ", ";
    out += name;
  }
  return out;
}

void Schema::check_members(const Value& object, const std::string& pointer,
                           std::vector<FieldError>& errors) const {
  std::map<std::string_view, int> times;
  for (const auto& member : object.GetObject()) {
    if (errors.size() == kFieldErrorsMax) return;
    const std::string_view name = json::view(member.name);
    const auto known = members_.find(name);
    if (known == members_.end()) {
      const bool told = name.size() <= kNameBytesMax;
      add(errors, told ? pointer + step_to(name) : pointer,
          fmt::format("{}; known here: {}", told ? "is not known" : "has a member with a long name",
                      known_members()));
      continue;
    }
    const int before = times[known->first]++;
    if (before == 1) add(errors, pointer + step_to(name), "is given more than once");
    if (before == 0) known->second.check(member.value, pointer + step_to(name), errors);
  }
  for (const std::string& name : required_) {
    if (times.contains(name)) continue;
    add(errors, pointer + step_to(name),
        fmt::format("is missing; it must be {}", members_.find(name)->second.sentence_));
  }
}

void Schema::check(const Value& value, const std::string& pointer,
                   std::vector<FieldError>& errors) const {
  const std::size_t before = errors.size();
  if (value.IsObject() && !members_.empty()) check_members(value, pointer, errors);
  if (value.IsArray() && items_ != nullptr && !beyond_validator(value)) {
    for (rapidjson::SizeType i = 0; i < value.Size(); ++i) {
      items_->check(value[i], fmt::format("{}/{}", pointer, i), errors);
    }
  }
  if (errors.size() > before) return;
  rapidjson::SchemaValidator validator(validator_);
  if (beyond_validator(value) || !value.Accept(validator)) {
    add(errors, pointer, fmt::format("must be {}", sentence_));
  }
}

std::deque<Schema> compile() {
  std::deque<Schema> schemas;
  for (const EmbeddedFile& file : api_schema_files()) {
    const Result<rapidjson::Document> document = json::parse(file.bytes);
    CHECK(document.has_value());
    schemas.emplace_back(*document);
  }
  return schemas;
}

const std::deque<Schema>& schemas_of_this_thread() {
  thread_local const std::deque<Schema> schemas = compile();
  return schemas;
}

}  // namespace

std::vector<FieldError> validate(ApiBody kind, const Value& body) {
  std::vector<FieldError> errors;
  schemas_of_this_thread().at(static_cast<std::size_t>(kind)).check(body, "", errors);
  return errors;
}

void prepare_api_schemas() {
  schemas_of_this_thread();
}

}  // namespace parlance::dialects
