// A request's body that is written to a file without a name while it arrives, so that it is never
// in memory as a whole; and one of the core's Options::uploads_max, for as long as it lives. The
// disk is touched in the background alone. Of one request; thread: the core.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include <boost/asio/awaitable.hpp>

#include "base/result.h"
#include "base/unique_fd.h"

namespace parlance::net {

class Core;

/// A file in `directory` that ends with its descriptor. Blocks. Errors: unavailable.
Result<UniqueFd> open_unnamed_file(const std::string& directory);

class SpooledBody {
 public:
  /// Nothing where the core has as many as it may have.
  static std::unique_ptr<SpooledBody> make(Core& core);
  ~SpooledBody();
  SpooledBody(const SpooledBody&) = delete;
  SpooledBody& operator=(const SpooledBody&) = delete;

  /// Once, before all else. Errors: unavailable, as of append(); they are logged, and may be told.
  boost::asio::awaitable<Status> open();
  /// Writes `bytes` behind what is there, and leaves it empty. One call at a time.
  boost::asio::awaitable<Status> append(std::string& bytes);

  /// Readable from any thread; its offset is not to be moved.
  std::shared_ptr<const UniqueFd> file() const { return file_; }
  std::uint64_t bytes() const noexcept { return bytes_; }

 private:
  explicit SpooledBody(Core& core);

  const std::shared_ptr<Core> core_;
  std::shared_ptr<const UniqueFd> file_;
  std::uint64_t bytes_ = 0;
};

}  // namespace parlance::net
