// What every model provider looks like to the dispatcher: start a call, hear its text, end it.
// One instance per core and provider; every call and callback is on that core's thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "schemas/model_call.h"

namespace parlance::llm {

/// Names one call within a core; never reused while the process lives.
using CallId = std::uint64_t;

struct ModelFailure {
  Errc code = Errc::unavailable;
  std::string detail;      ///< A sentence for people: provider, what happened. No secret.
  bool retryable = false;  ///< Another try may succeed (429, 5xx, connection, time-out).
  std::optional<std::chrono::milliseconds> retry_after;  ///< As the upstream asked.
  ModelUsage usage = {};  ///< What it had told of tokens by then; usually nothing.
};

/// Hears one or more calls. For each call: any number of on_text, then exactly one of on_finished
/// and on_failed, unless it is cancelled first: then nothing more.
class ModelSink {
 public:
  virtual ~ModelSink() = default;
  /// `text` is valid UTF-8 and never ends inside a code point.
  virtual void on_text(CallId call, std::string_view text) = 0;
  /// `answer.text` is the whole text, equal to the concatenation of the deltas.
  virtual void on_finished(CallId call, ModelAnswer answer) = 0;
  virtual void on_failed(CallId call, ModelFailure failure) = 0;
};

class Provider {
 public:
  virtual ~Provider() = default;
  /// Begins a call. Callbacks come later, never from inside `start`.
  virtual void start(CallId call, std::shared_ptr<const ModelRequest> request, ModelSink& sink) = 0;
  /// Ends a call without a further callback; the upstream connection is closed. Unknown: no effect.
  /// Returns what it had told of tokens by then; usually nothing.
  virtual ModelUsage cancel(CallId call) = 0;
};

}  // namespace parlance::llm
