// The tools that every agent has: the current time, a calculator, and a search over the session's
// own history.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/tool.h"
#include "base/result.h"
#include "schemas/event.h"

namespace parlance::agent {

/// Reads the last events of a session, oldest first. May block.
using ReadHistory = std::function<Result<std::vector<RecordedEvent>>(const SessionId&)>;

std::unique_ptr<Tool> make_current_time_tool();
std::unique_ptr<Tool> make_calculator_tool();
std::unique_ptr<Tool> make_history_search_tool(ReadHistory read);

/// All three.
std::vector<std::unique_ptr<Tool>> make_builtin_tools(ReadHistory read);

}  // namespace parlance::agent
