// A model behind an OpenAI-compatible HTTP API: one streaming chat completion per call.
// One per core and configured provider, owned by that core's ModelDispatcher; on that thread.
//
// Invariants: a call ends in exactly one of on_finished and on_failed, or in neither when it is
// cancelled. An answer is finished only if the upstream said so (a finish reason or [DONE]); a
// stream that just stops is a failure, and nothing of its tool calls leaves. No retries here. The
// API key appears in no log line and no failure, whatever the upstream answers.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "http/transfer_loop.h"
#include "llm/openai_wire.h"
#include "llm/options.h"
#include "llm/provider.h"

namespace parlance::llm {

class OpenAiProvider final : public Provider {
 public:
  /// `loop` must outlive the provider. Not destroyed from inside one of its callbacks.
  OpenAiProvider(http::TransferLoop& loop, ProviderOptions options);
  ~OpenAiProvider() override;

  void start(CallId call, std::shared_ptr<const ModelRequest> request, ModelSink& sink) override;
  ModelUsage cancel(CallId call) override;

 private:
  class Call;

  /// The `tools` array of `request`, encoded once per set of tools.
  std::string_view tools_of(const ModelRequest& request);
  std::unique_ptr<Call> release(CallId call);
  /// Keeps a call whose answer is delivered until its response has ended, so that the connection
  /// can serve the next one.
  void keep_draining(std::unique_ptr<Call> call);
  std::unique_ptr<Call> release_draining(Call* call);

  http::TransferLoop& loop_;
  const ProviderOptions options_;
  const std::string key_;
  const std::string url_;
  std::vector<std::string> headers_;
  ChunkReader reader_;
  std::shared_ptr<const std::vector<ToolDeclaration>> tools_;
  std::string encoded_tools_;
  std::unordered_map<CallId, std::unique_ptr<Call>> calls_;
  std::unordered_map<Call*, std::unique_ptr<Call>> draining_;
};

}  // namespace parlance::llm
