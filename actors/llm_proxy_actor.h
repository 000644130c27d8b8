// The way from runs to the model providers: one per core. Starts and cancels calls; each delta goes
// straight to the run that asked, as a message. Waiting, retries, breakers and fallbacks are in
// llm/model_dispatcher. Thread: its core's.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <unordered_map>

#include "actors/core_scheduler.h"
#include "actors/handles.h"
#include "llm/model_dispatcher.h"

namespace parlance::actors {

class LlmProxyActor final : public ModelProxyHandle::base,
                            public CoreBound,
                            private llm::ModelSink {
 public:
  LlmProxyActor(caf::actor_config& config, CoreWorker& worker, std::size_t core,
                const llm::Options& options, std::vector<std::shared_ptr<llm::ProviderGate>> gates,
                std::vector<std::shared_ptr<llm::ProviderMeter>> meters);
  ~LlmProxyActor() override;
  behavior_type make_behavior() override;
  void on_exit() override;
  const char* name() const override { return "model proxy"; }

 private:
  void on_text(llm::CallId call, std::string_view text) override;
  void on_finished(llm::CallId call, ModelAnswer answer) override;
  void on_failed(llm::CallId call, llm::ModelFailure failure) override;

  CoreWorker& worker_;
  std::unique_ptr<llm::ModelDispatcher> dispatcher_;
  std::unordered_map<llm::CallId, RunHandle> callers_;
};

}  // namespace parlance::actors
