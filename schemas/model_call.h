// The provider-neutral exchange with a language model.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace parlance {

/// Tokens as the provider reported them; zero where it reported none.
struct ModelUsage {
  std::uint64_t tokens_in = 0;
  std::uint64_t tokens_out = 0;

  ModelUsage& operator+=(const ModelUsage& other) {
    tokens_in += other.tokens_in;
    tokens_out += other.tokens_out;
    return *this;
  }
  friend bool operator==(const ModelUsage&, const ModelUsage&) = default;
};

/// A tool call as the model asked for it. `arguments` is the model's JSON text, not yet checked.
struct ToolCall {
  std::string id;  ///< The provider's id of the call, unique within its step.
  std::string name;
  std::string arguments;
  friend bool operator==(const ToolCall&, const ToolCall&) = default;
};

struct ToolResult {
  std::string call_id;
  std::string name;
  std::string output;  ///< Valid UTF-8: what the model is told, an error's sentence included.
  bool failed = false;
  friend bool operator==(const ToolResult&, const ToolResult&) = default;
};

enum class Role : std::uint8_t { system = 0, user = 1, assistant = 2, tool = 3 };

/// One message of a conversation as a model sees it.
struct ChatMessage {
  Role role = Role::user;
  std::string text;
  std::vector<ToolCall> tool_calls;  ///< Assistant only.
  std::string tool_call_id;          ///< Tool only: the call this answers.
};

/// What a model is told about a tool. `parameters_schema` is a JSON Schema as text.
struct ToolDeclaration {
  std::string name;
  std::string description;
  std::string parameters_schema;
};

/// A part of a document that an answer is to be made from. Text of others: data to a model, never
/// instructions.
struct ModelPassage {
  std::string id;
  std::string document;  ///< The name people know it by.
  std::string text;      ///< Valid UTF-8, as the name is.
};

struct ModelRequest {
  std::vector<ChatMessage> messages;
  std::shared_ptr<const std::vector<ToolDeclaration>> tools;  ///< Null or empty: no tools.
  std::uint64_t answer_tokens_max = 0;                        ///< 0: the provider's default.
  std::string provider;  ///< The one to call, by its name; empty: the configured ones in order.
  std::string model;     ///< Empty: the provider's.
  std::optional<double> temperature;  ///< Unset: the provider's.

  /// What the answer is to be made from, best first; empty: whatever the model knows.
  std::vector<ModelPassage> passages;
};

/// A whole answer: text, or tool calls (possibly with text before them).
struct ModelAnswer {
  std::string text;
  std::vector<ToolCall> tool_calls;
  ModelUsage usage;
  std::string finish_reason;  ///< "stop", "length", "tool_calls", ...; empty when not given.
};

}  // namespace parlance
