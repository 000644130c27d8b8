// What every tool looks like to the agent, built in or remote.
#pragma once

#include <string>

#include "base/result.h"
#include "schemas/ids.h"
#include "schemas/model_call.h"

namespace parlance::agent {

/// What happens to a call whose outcome a crash took away.
enum class AfterCrash : unsigned char {
  repeat,  ///< Run it again: it has no effects, or the same ones.
  fail,    ///< Tell the model that it was interrupted; it decides.
};

struct ToolInput {
  SessionId session;      ///< Empty for a run without a session.
  std::string key;        ///< The same for the same call of the same run, also after a restart.
  std::string arguments;  ///< JSON, already checked against the tool's schema.
};

class Tool {
 public:
  virtual ~Tool() = default;
  virtual const ToolDeclaration& declaration() const noexcept = 0;
  virtual AfterCrash after_crash() const noexcept = 0;
  /// Runs the tool. May block; called on a tool thread, by several threads at once.
  /// The value is the text for the model. Errors become a failed result with their detail.
  virtual Result<std::string> run(const ToolInput& input) const = 0;
};

}  // namespace parlance::agent
