// Sends a model call to the first provider that can take it: waits for a place, retries with
// backoff before the first token, opens and closes circuit breakers, falls back in order. A call
// that names a provider (ModelRequest::provider) goes to that one of Options::named, or fails.
// One per core, on that core's thread; what is counted for the whole node is in ProviderGate.
//
// After the first delta of a call nothing is retried here: the failure goes to the caller, who
// knows what was shown. Tool calls are shown to nobody before the answer is whole, so a call that
// is cut in the middle of one is tried again.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "llm/options.h"
#include "llm/provider.h"
#include "schemas/console.h"

namespace boost::asio {
class io_context;
}

namespace parlance::http {
class TransferLoop;
}

namespace parlance::llm {

class ProviderGate;
class ProviderMeter;

/// The node's gates, one per provider of `options`, named ones included, shared by all cores'
/// dispatchers.
std::vector<std::shared_ptr<ProviderGate>> make_gates(const Options& options);

/// The node's meters, one per gate.
std::vector<std::shared_ptr<ProviderMeter>> make_meters(const Options& options);

/// How the providers are, given what was made for the same options.
std::vector<ProviderView> view_providers(const Options& options,
                                         const std::vector<std::shared_ptr<ProviderGate>>& gates,
                                         const std::vector<std::shared_ptr<ProviderMeter>>& meters);

/// What a test puts in the place of the real thing; empty members stand for that.
struct DispatcherSeams {
  std::function<std::unique_ptr<Provider>(const ProviderOptions&, http::TransferLoop&)>
      make_provider;
  std::function<double()> jitter;  ///< In [0, 1).
};

class ModelDispatcher {
 public:
  /// `io` is the core's event loop: transfers, timers and callbacks run on it. `gates` is what
  /// make_gates returned for the same options, `meters` what make_meters did; without these
  /// nothing is metered.
  ModelDispatcher(boost::asio::io_context& io, const Options& options,
                  std::vector<std::shared_ptr<ProviderGate>> gates, DispatcherSeams seams = {},
                  std::vector<std::shared_ptr<ProviderMeter>> meters = {});
  /// Cancels all calls. Not from inside a callback.
  ~ModelDispatcher();

  /// Callbacks of `sink` come later on this thread, never from inside `start`. `sink` must outlive
  /// the call. A failure passed on is final: its `retryable` says only whether it was transient.
  void start(CallId call, std::shared_ptr<const ModelRequest> request, ModelSink& sink);
  /// Ends a call at any stage without a further callback. Unknown: no effect.
  void cancel(CallId call);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace parlance::llm
