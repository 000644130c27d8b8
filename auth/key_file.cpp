#include "auth/key_file.h"

#include <cerrno>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/options.h"
#include "auth/secret_hash.h"

namespace parlance::auth {
namespace {

class File {
 public:
  File(const std::string& path, int flags, mode_t mode = 0)
      : fd_(::open(path.c_str(), flags | O_CLOEXEC, mode)) {}
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  explicit operator bool() const { return fd_ >= 0; }
  int fd() const { return fd_; }

 private:
  const int fd_;
};

Error failed(std::string_view what, const std::string& path, int reason) {
  return {Errc::unavailable,
          fmt::format("cannot {} {}: {}", what, path, std::generic_category().message(reason))};
}

Error unusable(const std::string& path, std::string_view why) {
  return {Errc::failed_precondition, fmt::format("{}, the key of access tokens, {}", path, why)};
}

/// The bytes of `file`, at most one more than a key may have.
std::optional<std::string> read_some(const File& file) {
  std::string out(kSecretKeyBytesMax + 2, '\0');
  std::size_t size = 0;
  while (size < out.size()) {
    const ssize_t got = ::read(file.fd(), out.data() + size, out.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return std::nullopt;
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  out.resize(size);
  return out;
}

Result<std::string> read_key(const std::string& path, const File& file) {
  struct stat status {};
  if (::fstat(file.fd(), &status) != 0) return failed("look at", path, errno);
  if (!S_ISREG(status.st_mode)) return unusable(path, "is not a file");
  if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return unusable(path,
                    fmt::format("may be read by others than its owner (mode {:04o}); make it 0600, "
                                "or remove it if others may have seen it: a new one is made",
                                status.st_mode & 07777));
  }
  auto key = read_some(file);
  if (!key) return failed("read", path, errno);
  if (key->ends_with('\n')) key->pop_back();
  if (key->size() < kSecretKeyBytesGood) {
    return unusable(path, fmt::format("is too short: {} bytes of at least {}; remove it and a new "
                                      "one is made",
                                      key->size(), kSecretKeyBytesGood));
  }
  if (key->size() > kSecretKeyBytesMax) {
    return unusable(path, fmt::format("is longer than {} bytes", kSecretKeyBytesMax));
  }
  return std::move(*key);
}

/// Writes `text` into a new file that its owner alone can read, and waits for the disk.
Status write_file(const std::string& path, std::string_view text) {
  const File file(path, O_WRONLY | O_CREAT | O_EXCL, S_IRUSR | S_IWUSR);
  if (!file) return failed("make", path, errno);
  while (!text.empty()) {
    const ssize_t put = ::write(file.fd(), text.data(), text.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return failed("write", path, errno);
    text.remove_prefix(static_cast<std::size_t>(put));
  }
  if (::fsync(file.fd()) != 0) return failed("write", path, errno);
  return {};
}

/// Under another name first, so that a crash leaves a whole key or none.
Result<std::string> make_key(const std::string& directory, const std::string& path) {
  std::string key = new_secret();
  const std::string unfinished = path + ".new";
  if (::unlink(unfinished.c_str()) != 0 && errno != ENOENT) {
    return failed("replace", unfinished, errno);
  }
  if (auto written = write_file(unfinished, key + '\n'); !written) {
    ::unlink(unfinished.c_str());
    return written.error();
  }
  if (::rename(unfinished.c_str(), path.c_str()) != 0) return failed("make", path, errno);
  const File folder(directory, O_RDONLY | O_DIRECTORY);
  if (!folder || ::fsync(folder.fd()) != 0) return failed("write", directory, errno);
  return key;
}

}  // namespace

Result<std::string> read_or_make_key(const std::string& directory) {
  const std::string path = fmt::format("{}/{}", directory, kKeyFileName);
  // A pipe would block without this flag.
  const File file(path, O_RDONLY | O_NONBLOCK);
  if (file) return read_key(path, file);
  if (errno != ENOENT) return failed("read", path, errno);
  return make_key(directory, path);
}

}  // namespace parlance::auth
