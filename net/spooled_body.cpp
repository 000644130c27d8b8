#include "net/spooled_body.h"

#include <cerrno>
#include <functional>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

#include "base/log.h"
#include "net/await_reply.h"
#include "net/core.h"

namespace parlance::net {
namespace {

namespace asio = boost::asio;

/// Of the system's; 0 for none.
using Reason = int;

Reason write_at(int fd, std::string_view bytes, std::uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t put = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return put < 0 ? errno : ENOSPC;
    offset += static_cast<std::uint64_t>(put);
    bytes.remove_prefix(static_cast<std::size_t>(put));
  }
  return 0;
}

Error busy() {
  return {Errc::unavailable, "too much is being worked on; try again later"};
}

/// Logged with all that the operator needs; the client is told what concerns it.
Error cannot_keep(const Error& error) {
  log::error("a voice message cannot be kept reason={}", log::value(error.detail));
  return {Errc::unavailable,
          "the server cannot keep the recording now: its disk is full or does not work; try again "
          "later"};
}

}  // namespace

Result<UniqueFd> open_unnamed_file(const std::string& directory) {
  UniqueFd file(::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (file) return file;
  return Error{Errc::unavailable, "cannot make a file without a name in " + directory + ": " +
                                      std::generic_category().message(errno)};
}

SpooledBody::SpooledBody(Core& core) : core_(core.shared_from_this()) {
  ++core_->uploads;
}

SpooledBody::~SpooledBody() {
  --core_->uploads;
}

std::unique_ptr<SpooledBody> SpooledBody::make(Core& core) {
  if (core.uploads >= core.options().uploads_max) return nullptr;
  return std::unique_ptr<SpooledBody>(new SpooledBody(core));
}

asio::awaitable<Status> SpooledBody::open() {
  using Opened = Result<std::shared_ptr<const UniqueFd>>;
  std::function<Opened()> work = [directory = core_->options().spool_directory]() -> Opened {
    Result<UniqueFd> file = open_unnamed_file(directory);
    if (!file) return file.error();
    return std::make_shared<const UniqueFd>(std::move(*file));
  };
  std::optional<Opened> opened = co_await in_background<Opened>(*core_, std::move(work));
  if (!opened) co_return busy();
  if (!*opened) co_return cannot_keep(opened->error());
  file_ = std::move(**opened);
  co_return Status();
}

asio::awaitable<Status> SpooledBody::append(std::string& bytes) {
  if (bytes.empty()) co_return Status();
  const auto piece = std::make_shared<std::string>(std::move(bytes));
  std::function<Reason()> work = [file = file_, piece, offset = bytes_] {
    return write_at(file->get(), *piece, offset);
  };
  const std::optional<Reason> failed = co_await in_background<Reason>(*core_, std::move(work));
  bytes_ += piece->size();
  // Its memory serves for what comes next.
  bytes = std::move(*piece);
  bytes.clear();
  if (!failed) co_return busy();
  if (*failed == 0) co_return Status();
  co_return cannot_keep({Errc::unavailable, std::generic_category().message(*failed)});
}

}  // namespace parlance::net
