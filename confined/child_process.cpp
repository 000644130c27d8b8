#include "confined/child_process.h"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

extern "C" {  // Which the header of glibc 2.36 leaves out.
#include <sys/pidfd.h>
}

#include "confined/descriptor_io.h"
#include "confined/fork_loop.h"

namespace parlance::confined {
namespace {

Error unavailable(std::string_view what, int error) {
  return {Errc::unavailable, fmt::format("{}: {}", what, std::generic_category().message(error))};
}

struct SocketPair {
  UniqueFd ours;
  UniqueFd theirs;
};

Result<SocketPair> make_socket_pair() {
  int ends[2] = {-1, -1};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return unavailable("cannot make a socket pair", errno);
  }
  return SocketPair{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

/// What the child has before its program starts. posix_spawn carries it out, so that nothing of
/// ours runs between fork and exec, where only one of our threads would exist.
class Preparation {
 public:
  explicit Preparation(int socket) {
    posix_spawn_file_actions_init(&actions_);
    add(posix_spawn_file_actions_adddup2(&actions_, socket, STDIN_FILENO));
    add(posix_spawn_file_actions_adddup2(&actions_, socket, STDOUT_FILENO));
    // What a library says about its input there would be text of strangers in our log.
    add(posix_spawn_file_actions_addopen(&actions_, STDERR_FILENO, "/dev/null", O_WRONLY, 0));
    add(posix_spawn_file_actions_addclosefrom_np(&actions_, STDERR_FILENO + 1));

    posix_spawnattr_init(&attributes_);
    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    add(posix_spawnattr_setsigmask(&attributes_, &none));
    add(posix_spawnattr_setsigdefault(&attributes_, &all));
    add(posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF));
  }
  Preparation(const Preparation&) = delete;
  Preparation& operator=(const Preparation&) = delete;
  ~Preparation() {
    posix_spawn_file_actions_destroy(&actions_);
    posix_spawnattr_destroy(&attributes_);
  }

  int spawn(pid_t& pid, const std::string& program, char* const* argv) const {
    char* const environment[] = {nullptr};
    if (error_ != 0) return error_;
    return posix_spawn(&pid, program.c_str(), &actions_, &attributes_, argv, environment);
  }

 private:
  void add(int error) {
    if (error_ == 0) error_ = error;
  }
  posix_spawn_file_actions_t actions_{};
  posix_spawnattr_t attributes_{};
  int error_ = 0;
};

}  // namespace

std::string program_path(const std::string& configured, std::string_view name) {
  if (!configured.empty()) return configured;
  char path[PATH_MAX];
  const ssize_t size = readlink("/proc/self/exe", path, sizeof path);
  if (size <= 0 || static_cast<std::size_t>(size) == sizeof path) return std::string(name);
  const std::string_view self(path, static_cast<std::size_t>(size));
  return std::string(self.substr(0, self.rfind('/') + 1)).append(name);
}

Result<ChildProcess> ChildProcess::start(const std::string& program,
                                         const std::vector<std::string>& arguments) {
  std::vector<std::string> words = arguments;
  words.insert(words.begin(), program);
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);

  auto sockets = make_socket_pair();
  if (!sockets) return sockets.error();
  pid_t pid = -1;
  const int error = Preparation(sockets->theirs.get()).spawn(pid, program, argv.data());
  if (error != 0) return unavailable("cannot start " + program, error);
  return ChildProcess(pid, UniqueFd(), std::move(sockets->ours));
}

Result<ChildProcess> ChildProcess::fork(Deadline deadline) {
  auto sockets = make_socket_pair();
  if (!sockets) return sockets.error();
  const char request = kForkByte;
  if (auto sent = send({&request, 1}, sockets->theirs.get(), deadline); !sent) return sent.error();
  sockets->theirs.reset();
  if (auto word = await_word(deadline); !word) return word.error();
  char answer = 0;
  int received = -1;
  const bool heard = read_all_with_descriptor(socket_.get(), &answer, 1, received);
  UniqueFd pidfd(received);
  if (!heard) return Error{Errc::unavailable, "the child has closed its end"};
  if (!pidfd) return Error{Errc::resource_exhausted, "the child cannot fork"};
  return ChildProcess(-1, std::move(pidfd), std::move(sockets->ours));
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      pidfd_(std::move(other.pidfd_)),
      socket_(std::move(other.socket_)) {}

ChildProcess::~ChildProcess() {
  end();
}

Status ChildProcess::wait_for(short events, short& ready, Deadline deadline) {
  using namespace std::chrono;
  for (;;) {
    const auto left = ceil<milliseconds>(deadline - steady_clock::now()).count();
    if (left <= 0) return Error{Errc::deadline_exceeded, "the child did not get on in time"};
    pollfd one{socket_.get(), events, 0};
    const int result = poll(&one, 1, static_cast<int>(std::min<std::int64_t>(left, 60'000)));
    if (result < 0 && errno != EINTR) return unavailable("poll", errno);
    if (result > 0) {
      ready = one.revents;
      return {};
    }
  }
}

Status ChildProcess::send(std::span<const char> bytes, Deadline deadline) {
  return send(bytes, -1, deadline);
}

Status ChildProcess::send(std::span<const char> bytes, int descriptor, Deadline deadline) {
  const std::size_t size = bytes.size();
  while (!bytes.empty()) {
    const bool nothing_sent = bytes.size() == size;
    auto sent = send_some(bytes, nothing_sent ? descriptor : -1, deadline);
    if (!sent) return sent;
  }
  return {};
}

Status ChildProcess::send_some(std::span<const char>& bytes, int descriptor, Deadline deadline) {
  short ready = 0;
  if (auto waited = wait_for(POLLIN | POLLOUT, ready, deadline); !waited) return waited;
  if ((ready & POLLOUT) == 0 || (ready & (POLLIN | POLLHUP | POLLERR)) != 0) {
    return Error{Errc::unavailable, "the child did not hear the request out"};
  }
  const ssize_t put = send_with_descriptor(socket_.get(), bytes, descriptor, MSG_DONTWAIT);
  if (put < 0 && errno != EINTR && errno != EAGAIN) return unavailable("send", errno);
  if (put > 0) bytes = bytes.subspan(static_cast<std::size_t>(put));
  return {};
}

Status ChildProcess::await_word(Deadline deadline) {
  short ready = 0;
  return wait_for(POLLIN, ready, deadline);
}

Status ChildProcess::receive(std::span<char> bytes, Deadline deadline) {
  while (!bytes.empty()) {
    short ready = 0;
    if (auto waited = wait_for(POLLIN, ready, deadline); !waited) return waited;
    const ssize_t got = recv(socket_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (got == 0) return Error{Errc::unavailable, "the child has closed its end"};
    if (got < 0 && errno != EINTR && errno != EAGAIN) return unavailable("recv", errno);
    if (got > 0) bytes = bytes.subspan(static_cast<std::size_t>(got));
  }
  return {};
}

int ChildProcess::end() noexcept {
  socket_.reset();
  if (pidfd_) {
    pidfd_send_signal(pidfd_.get(), SIGKILL, nullptr, 0);
    pidfd_.reset();
  }
  if (pid_ < 0) return 0;
  const pid_t pid = std::exchange(pid_, -1);
  // Not reaped yet, so the id is still the child's own, also when it has ended already.
  kill(pid, SIGKILL);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

}  // namespace parlance::confined
