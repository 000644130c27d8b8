// Tools for tests of the agent: one of each kind of recovery.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agent/toolbox.h"

namespace parlance::test {

/// Answers with its arguments.
class EchoTool final : public agent::Tool {
 public:
  EchoTool(std::string name, agent::AfterCrash after_crash)
      : declaration_{std::move(name), "Returns what it is given.",
                     R"({"type":"object","properties":{"text":{"type":"string"}},)"
                     R"("required":["text"],"additionalProperties":false})"},
        after_crash_(after_crash) {}

  const ToolDeclaration& declaration() const noexcept override { return declaration_; }
  agent::AfterCrash after_crash() const noexcept override { return after_crash_; }
  Result<std::string> run(const agent::ToolInput& input) const override { return input.arguments; }

 private:
  ToolDeclaration declaration_;
  agent::AfterCrash after_crash_;
};

/// "echo" may be repeated after a crash, "send" may not.
inline agent::Toolbox echo_toolbox() {
  std::vector<std::unique_ptr<agent::Tool>> tools;
  tools.push_back(std::make_unique<EchoTool>("echo", agent::AfterCrash::repeat));
  tools.push_back(std::make_unique<EchoTool>("send", agent::AfterCrash::fail));
  return agent::Toolbox(std::move(tools));
}

}  // namespace parlance::test
