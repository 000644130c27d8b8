// What the operator's console may see of sessions and of what they stand on. One per core; every
// call and every callback is on that core's thread, and every callback is called as
// session_gateway.h says. Stopping runs and reading logs go through the SessionGateway.
#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include "base/result.h"
#include "schemas/console.h"

namespace parlance::actors {

class ConsoleGateway {
 public:
  using StorageReply = std::function<void(Result<StorageView>)>;

  virtual ~ConsoleGateway() = default;

  /// What this core does, with at most `rows_max` runs and as many sessions. Looks at no more of
  /// them than that.
  virtual CoreActivity activity(std::size_t rows_max) const = 0;

  /// The model providers of the node, in the order of the configuration.
  virtual std::vector<ProviderView> providers() const = 0;

  /// Asks the store, on a thread that may wait for it. Errors: unavailable.
  virtual void read_storage(StorageReply reply) = 0;
};

}  // namespace parlance::actors
