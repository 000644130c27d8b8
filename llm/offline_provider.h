// The built-in provider for a server without a key: quotes what answers the question from the
// request's passages, or else from earlier messages of the same conversation, uses tools when the
// question plainly asks for one, and says that it is offline.
// One per core, owned by that core's ModelDispatcher; on that thread. No network.
//
// Invariants: the answer depends on the request alone. Streams word by word through the same
// interface as a model; a call costs tens of microseconds, whatever the length of the conversation,
// and about six more for each KB of passages, of which it reads 64 at most.
#pragma once

#include <chrono>
#include <memory>
#include <unordered_map>

#include "http/transfer_loop.h"
#include "llm/options.h"
#include "llm/provider.h"

namespace parlance::llm {

class OfflineProvider final : public Provider {
 public:
  /// `loop` must outlive the provider; only its timers are used.
  OfflineProvider(http::TransferLoop& loop, const ProviderOptions& options);
  ~OfflineProvider() override;

  void start(CallId call, std::shared_ptr<const ModelRequest> request, ModelSink& sink) override;
  ModelUsage cancel(CallId call) override;

 private:
  struct Call;
  void go_on(CallId call);
  void go_on_later(CallId call, Call& state);

  http::TransferLoop& loop_;
  const std::chrono::milliseconds token_delay_;
  std::unordered_map<CallId, std::unique_ptr<Call>> calls_;
};

/// What the offline provider answers to `request`. Pure.
ModelAnswer offline_answer(const ModelRequest& request);

}  // namespace parlance::llm
