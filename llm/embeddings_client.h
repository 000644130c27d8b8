// Texts into vectors by a provider's /embeddings: in batches, a bounded number at once, tried again
// like model calls. One per event loop; on that loop's thread.
//
// Invariants: `done` comes once, later and never from inside `embed`, unless it is cancelled or the
// client goes: then never. `done` may make and cancel calls and may destroy the client. Either all
// texts have a vector or the call fails. The requests of one core to one base URL take turns over
// the calls, so that a question does not wait behind a whole library. The API key and the texts
// appear in no error and no log line.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "llm/options.h"

namespace parlance::http {
class TransferLoop;
}

namespace parlance::llm {

/// Names a call of one client; never reused, never 0.
using EmbedId = std::uint64_t;

/// One for each text, in their order; each of length 1, all of the same dimensions.
using Embeddings = std::vector<std::vector<float>>;

class EmbeddingsClient {
 public:
  using Done = std::function<void(Result<Embeddings>)>;

  /// `loop` must outlive the client. `jitter` in [0, 1), for tests; empty: random.
  explicit EmbeddingsClient(http::TransferLoop& loop, EmbeddingsOptions options = {},
                            std::function<double()> jitter = {});
  /// Cancels all.
  ~EmbeddingsClient();

  /// Asks `model` of `provider` (its own `model` is for chats). A request may take
  /// `first_token_timeout`, the whole call `call_timeout`; `tries_max` holds for each request.
  /// Errors: invalid_argument (a text that is empty, too big or not UTF-8), resource_exhausted (too
  /// much waits, or the provider's limit), failed_precondition (key, model, certificate, an answer
  /// that is no embeddings, the offline provider), deadline_exceeded, unavailable.
  EmbedId embed(const ProviderOptions& provider, std::string model, std::vector<std::string> texts,
                Done done);
  /// Ends a call without its `done`. Unknown: no effect.
  void cancel(EmbedId call);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace parlance::llm
