// The tools of an agent by name, and the check of a model's arguments against their JSON Schemas.
// Immutable after construction; any thread.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/tool.h"
#include "base/result.h"
#include "schemas/model_call.h"

namespace parlance::agent {

class Toolbox {
 public:
  /// Stops the process when a tool's own schema is not valid JSON: a bug of the tool.
  explicit Toolbox(std::vector<std::unique_ptr<Tool>> tools);
  ~Toolbox();

  std::shared_ptr<const std::vector<ToolDeclaration>> declarations() const { return declarations_; }

  /// Those of the tools with these names.
  std::shared_ptr<const std::vector<ToolDeclaration>> declarations(
      std::span<const std::string> names) const;

  /// Nothing for an unknown name.
  const Tool* find(std::string_view name) const;

  /// Whether `call` names a tool and its arguments fit the tool's schema. The error's sentence is
  /// written for the model: what is wrong and where.
  Status check(const ToolCall& call) const;

 private:
  struct Entry;
  std::vector<Entry> entries_;
  std::shared_ptr<const std::vector<ToolDeclaration>> declarations_;
};

/// "message-id/step/position": names a call for ever, so that a tool can tell a repeated call.
std::string tool_call_key(const MessageId& message, int step, const ToolCall& call);

}  // namespace parlance::agent
