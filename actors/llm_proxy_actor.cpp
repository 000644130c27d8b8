#include "actors/llm_proxy_actor.h"

#include <utility>

#include "actors/core_services.h"

namespace parlance::actors {

LlmProxyActor::LlmProxyActor(caf::actor_config& config, CoreWorker& worker, std::size_t core,
                             const llm::Options& options,
                             std::vector<std::shared_ptr<llm::ProviderGate>> gates,
                             std::vector<std::shared_ptr<llm::ProviderMeter>> meters)
    : ModelProxyHandle::base(config),
      CoreBound(core),
      worker_(worker),
      dispatcher_(std::make_unique<llm::ModelDispatcher>(
          worker.io(), options, std::move(gates), llm::DispatcherSeams{}, std::move(meters))) {}

LlmProxyActor::~LlmProxyActor() = default;

LlmProxyActor::behavior_type LlmProxyActor::make_behavior() {
  set_error_handler([](caf::error& /*error*/) {});
  return {
      [this](StartCall& m) {
        callers_.emplace(m.call, std::move(m.caller));
        dispatcher_->start(m.call, std::move(m.request), *this);
      },
      [this](const CancelCall& m) {
        if (callers_.erase(m.call) != 0) dispatcher_->cancel(m.call);
      },
  };
}

void LlmProxyActor::on_exit() {
  callers_.clear();
  // On the core's thread, where its timers and transfers live; not from whoever drops the last
  // reference to this actor.
  dispatcher_.reset();
}

void LlmProxyActor::on_text(llm::CallId call, std::string_view text) {
  const auto it = callers_.find(call);
  if (it != callers_.end()) tell(worker_, it->second, ModelWrote{call, std::string(text)});
}

void LlmProxyActor::on_finished(llm::CallId call, ModelAnswer answer) {
  auto node = callers_.extract(call);
  if (!node.empty()) tell(worker_, node.mapped(), ModelAnswered{call, std::move(answer)});
}

void LlmProxyActor::on_failed(llm::CallId call, llm::ModelFailure failure) {
  auto node = callers_.extract(call);
  if (node.empty()) return;
  tell(worker_, node.mapped(),
       ModelFailed{call, failure.code, std::move(failure.detail), failure.retryable});
}

}  // namespace parlance::actors
