#include "agent/toolbox.h"

#include <algorithm>

#include <fmt/format.h>
#include <rapidjson/schema.h>
#include <rapidjson/stringbuffer.h>

#include "base/check.h"
#include "base/json.h"

namespace parlance::agent {

struct Toolbox::Entry {
  std::unique_ptr<Tool> tool;
  std::unique_ptr<rapidjson::SchemaDocument> schema;
};

Toolbox::Toolbox(std::vector<std::unique_ptr<Tool>> tools) {
  auto declarations = std::make_shared<std::vector<ToolDeclaration>>();
  for (auto& tool : tools) {
    const auto parsed = json::parse(tool->declaration().parameters_schema);
    CHECK(parsed.has_value());
    declarations->push_back(tool->declaration());
    entries_.push_back({std::move(tool), std::make_unique<rapidjson::SchemaDocument>(*parsed)});
  }
  declarations_ = std::move(declarations);
}

Toolbox::~Toolbox() = default;

std::shared_ptr<const std::vector<ToolDeclaration>> Toolbox::declarations(
    std::span<const std::string> names) const {
  auto some = std::make_shared<std::vector<ToolDeclaration>>();
  for (const ToolDeclaration& each : *declarations_) {
    if (std::find(names.begin(), names.end(), each.name) != names.end()) some->push_back(each);
  }
  return some;
}

const Tool* Toolbox::find(std::string_view name) const {
  for (const Entry& entry : entries_) {
    if (entry.tool->declaration().name == name) return entry.tool.get();
  }
  return nullptr;
}

Status Toolbox::check(const ToolCall& call) const {
  for (const Entry& entry : entries_) {
    if (entry.tool->declaration().name != call.name) continue;
    const auto arguments = json::parse(call.arguments.empty() ? "{}" : call.arguments);
    if (!arguments) {
      return Error{Errc::invalid_argument, "the arguments are " + arguments.error().detail};
    }
    rapidjson::SchemaValidator validator(*entry.schema);
    if (arguments->Accept(validator)) return {};
    rapidjson::StringBuffer pointer;
    validator.GetInvalidDocumentPointer().StringifyUriFragment(pointer);
    return Error{Errc::invalid_argument,
                 fmt::format("the arguments break the schema's rule \"{}\" at {}",
                             validator.GetInvalidSchemaKeyword(), pointer.GetString())};
  }
  std::string known;
  for (const Entry& entry : entries_) {
    known += (known.empty() ? "" : ", ") + entry.tool->declaration().name;
  }
  return Error{Errc::not_found,
               fmt::format("there is no tool of that name; the tools are: {}", known)};
}

std::string tool_call_key(const MessageId& message, int step, const ToolCall& call) {
  return fmt::format("{}/{}/{}", message.text, step, call.id);
}

}  // namespace parlance::agent
