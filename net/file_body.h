// A part of a file as the body of an answer, read piece by piece in the background.
#pragma once

#include <cstdint>
#include <memory>

#include "base/unique_fd.h"
#include "net/body_stream.h"
#include "net/core.h"

namespace parlance::net {

/// Up to 64 KiB of `file` from `at` on, and no more than `bytes`, read in the background. Errors:
/// unavailable, corrupted (the file is shorter than that).
boost::asio::awaitable<Result<std::string>> read_piece(Core& core,
                                                       std::shared_ptr<const UniqueFd> file,
                                                       std::uint64_t at, std::uint64_t bytes);

class FileBody final : public BodyStream {
 public:
  /// `bytes` of `file` from `begin` on.
  FileBody(Core& core, std::shared_ptr<const UniqueFd> file, std::uint64_t begin,
           std::uint64_t bytes);

  std::optional<std::uint64_t> length() const override { return bytes_; }
  boost::asio::awaitable<Result<std::string>> next() override;

 private:
  const std::shared_ptr<Core> core_;
  const std::shared_ptr<const UniqueFd> file_;
  std::uint64_t at_;
  const std::uint64_t bytes_;
  std::uint64_t left_;
};

}  // namespace parlance::net
