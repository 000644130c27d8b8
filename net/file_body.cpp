#include "net/file_body.h"

#include <algorithm>
#include <cerrno>
#include <functional>
#include <system_error>
#include <utility>

#include <unistd.h>

#include "net/await_reply.h"

namespace parlance::net {
namespace {

namespace asio = boost::asio;

constexpr std::uint64_t kPieceBytes = 64 << 10;

Result<std::string> read_blocking(int file, std::uint64_t at, std::size_t bytes) {
  std::string piece(bytes, '\0');
  for (std::size_t got = 0; got < bytes;) {
    const ssize_t count =
        ::pread(file, piece.data() + got, bytes - got, static_cast<off_t>(at + got));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      return Error{Errc::unavailable,
                   "reading a recording: " + std::generic_category().message(errno)};
    }
    if (count == 0) return Error{Errc::corrupted, "a recording is shorter than it was"};
    got += static_cast<std::size_t>(count);
  }
  return piece;
}

}  // namespace

asio::awaitable<Result<std::string>> read_piece(Core& core, std::shared_ptr<const UniqueFd> file,
                                                std::uint64_t at, std::uint64_t bytes) {
  const auto count = static_cast<std::size_t>(std::min(bytes, kPieceBytes));
  std::function<Result<std::string>()> work = [file = std::move(file), at, count] {
    return read_blocking(file->get(), at, count);
  };
  auto piece = co_await in_background<Result<std::string>>(core, std::move(work));
  if (!piece) co_return Error{Errc::unavailable, "too much waits for the disk"};
  co_return std::move(*piece);
}

FileBody::FileBody(Core& core, std::shared_ptr<const UniqueFd> file, std::uint64_t begin,
                   std::uint64_t bytes)
    : core_(core.shared_from_this()),
      file_(std::move(file)),
      at_(begin),
      bytes_(bytes),
      left_(bytes) {}

asio::awaitable<Result<std::string>> FileBody::next() {
  if (left_ == 0) co_return std::string();
  Result<std::string> piece = co_await read_piece(*core_, file_, at_, left_);
  if (piece) {
    at_ += piece->size();
    left_ -= piece->size();
  }
  co_return piece;
}

}  // namespace parlance::net
