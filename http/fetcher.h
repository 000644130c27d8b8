// Requests whose answer is wanted whole: one call back with the status and the body, within a time
// and a size. For small JSON interfaces; what streams uses the transfer loop itself.
// One per client, owned by it; on the loop's thread.
//
// Invariants: `done` is called once, later and never from inside `fetch`, unless the fetch is
// cancelled or the fetcher goes: then never. `done` may start and cancel fetches and may destroy
// the fetcher.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "base/result.h"
#include "http/transfer_loop.h"

namespace parlance::http {

/// Names a fetch of one fetcher; never reused, never 0.
using FetchId = std::uint64_t;

struct FetchLimits {
  std::chrono::milliseconds timeout{15'000};  ///< From the start to the last byte of the answer.
  std::size_t body_bytes_max = 1 << 20;
};

struct Answer {
  int status = 0;
  std::string body;
  std::string retry_after;  ///< As sent; see ResponseHead.
};

class Fetcher {
 public:
  using Done = std::function<void(Result<Answer>)>;

  /// `loop` must outlive the fetcher.
  explicit Fetcher(TransferLoop& loop);
  /// Cancels all.
  ~Fetcher();
  Fetcher(const Fetcher&) = delete;
  Fetcher& operator=(const Fetcher&) = delete;

  /// Any answer of the upstream is a success here, whatever its status. Errors:
  /// deadline_exceeded, resource_exhausted (the body is too big), and those of
  /// TransferHandler::on_done.
  FetchId fetch(Request request, FetchLimits limits, Done done);

  /// Ends a fetch without its callback and closes its connection. Unknown: no effect.
  void cancel(FetchId fetch);

 private:
  class Call;

  TransferLoop& loop_;
  std::unordered_map<FetchId, std::unique_ptr<Call>> calls_;
  FetchId last_id_ = 0;
};

}  // namespace parlance::http
