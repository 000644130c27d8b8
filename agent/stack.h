// How a stack answers a query: which tool, from which passages, in which words to the models.
// Pure; any thread. The state machine around it is agent/turn.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/options.h"
#include "schemas/document.h"
#include "schemas/event.h"
#include "schemas/model_call.h"

namespace parlance::agent {

/// What asks the decision maker for a tool. `refused`: its answer before, which named none; null at
/// the first try.
std::shared_ptr<ModelRequest> decision_request(const Stack& stack, const std::string& query,
                                               const std::string* refused);

/// The tool that the decision maker's answer names: an object {"tool": "<name>"} and nothing else.
std::optional<std::size_t> read_decision(const Stack& stack, std::string_view answer);

/// The tool to take where none was named or where the documents hold nothing: the first prompt
/// tool, else the first.
std::size_t fallback_tool(const Stack& stack);
/// The first tool that answers from documents.
std::optional<std::size_t> first_rag_tool(const Stack& stack);

/// The step that tells which tool was picked and why; also the intent of a search.
StepRecorded choice_step(const MessageId& message, const StackTool& tool, const std::string& query,
                         std::string_view why);

/// The step that tells what a search found. It names passages and does not repeat them; its result
/// is {"passages": [{"id", "document_id", "name", "begin", "end", "score", "distance",
/// "relevance"}], "embeddings"}.
StepRecorded search_step(const MessageId& message, const StackTool& tool,
                         const std::vector<FoundPassage>& found, std::string_view embeddings);

/// True for the steps that the two functions above made.
bool is_stack_step(const StepRecorded& step);

/// The tool that a choice step of this run names; nothing where the stack has it no more.
std::optional<std::size_t> chosen_tool(const Stack& stack, const StepRecorded& step);

/// The system message of a tool's model. `found_nothing`: it answers from documents, and there was
/// nothing to answer from.
std::string tool_instructions(const StackTool& tool, bool found_nothing);

}  // namespace parlance::agent
