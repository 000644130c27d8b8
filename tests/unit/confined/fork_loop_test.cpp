// What a process that serves forks gives its parent, tried in a child of the test.

#include "confined/fork_loop.h"

#include <csignal>
#include <filesystem>
#include <functional>
#include <iterator>
#include <string>
#include <utility>

#include <catch2/catch.hpp>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

extern "C" {  // Which the header of glibc 2.36 leaves out.
#include <sys/pidfd.h>
}

#include "base/unique_fd.h"
#include "confined/descriptor_io.h"

namespace parlance::confined {
namespace {

constexpr int kWaitMs = 60'000;

struct Sockets {
  UniqueFd ours;
  UniqueFd theirs;
};

Sockets make_sockets() {
  int ends[2];
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

/// Whether something can be read there, or the other end is closed, within a minute.
bool readable(const UniqueFd& descriptor) {
  pollfd one{descriptor.get(), POLLIN, 0};
  return poll(&one, 1, kWaitMs) == 1;
}

struct Child {
  UniqueFd pidfd;
  UniqueFd socket;
};

/// A process that serves forks, each of which does `run`.
class Server {
 public:
  explicit Server(const std::function<int()>& run) {
    Sockets sockets = make_sockets();
    pid_ = fork();
    if (pid_ == 0) {
      dup2(sockets.theirs.get(), STDIN_FILENO);
      closefrom(STDERR_FILENO + 1);
      serve_forks(run);
      _exit(7);
    }
    socket_ = std::move(sockets.ours);
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server() { end(); }

  Child fork_child() {
    Sockets sockets = make_sockets();
    REQUIRE(send_with_descriptor(socket_.get(), {&kForkByte, 1}, sockets.theirs.get(), 0) == 1);
    char answer = 0;
    int pidfd = -1;
    REQUIRE(readable(socket_));
    REQUIRE(read_all_with_descriptor(socket_.get(), &answer, 1, pidfd));
    REQUIRE(pidfd >= 0);
    return {UniqueFd(pidfd), std::move(sockets.ours)};
  }

  UniqueFd& socket() { return socket_; }
  int wait() {
    int status = -1;
    waitpid(std::exchange(pid_, -1), &status, 0);
    return status;
  }
  void end() {
    if (pid_ < 0) return;
    kill(pid_, SIGKILL);
    wait();
  }

 private:
  pid_t pid_ = -1;
  UniqueFd socket_;
};

int wait_for_the_end() {
  for (;;) pause();
}

}  // namespace

TEST_CASE("a forked child speaks over the socket that was sent for it") {
  Server server([] { return write_all(STDOUT_FILENO, "hello", 5) ? 0 : 1; });
  const Child first = server.fork_child();
  const Child second = server.fork_child();
  for (const Child* child : {&first, &second}) {
    char text[5];
    REQUIRE(readable(child->socket));
    REQUIRE(read_all(child->socket.get(), text, sizeof text));
    CHECK(std::string(text, sizeof text) == "hello");
    CHECK(readable(child->pidfd));
  }
}

TEST_CASE("a forked child has nothing open but its socket and standard error") {
  Server server([] {
    const std::filesystem::directory_iterator open("/proc/self/fd");
    // One of them is the folder itself.
    const auto count = static_cast<char>(std::distance(open, {}) - 1);
    return write_all(STDOUT_FILENO, &count, 1) ? 0 : 1;
  });
  const Child child = server.fork_child();
  char count = 0;
  REQUIRE(readable(child.socket));
  REQUIRE(read_all(child.socket.get(), &count, 1));
  CHECK(count == 3);
}

TEST_CASE("a forked child is killed by its pidfd, and its end of the socket closes") {
  Server server(wait_for_the_end);
  const Child child = server.fork_child();
  REQUIRE(pidfd_send_signal(child.pidfd.get(), SIGKILL, nullptr, 0) == 0);
  CHECK(readable(child.pidfd));
  REQUIRE(readable(child.socket));
  char byte = 0;
  CHECK(read(child.socket.get(), &byte, 1) == 0);
}

TEST_CASE("forked children end with the process that forked them") {
  Server server(wait_for_the_end);
  const Child child = server.fork_child();
  server.end();
  CHECK(readable(child.pidfd));
}

TEST_CASE("a process that serves forks ends when its parent does") {
  Server server(wait_for_the_end);
  server.socket().reset();
  CHECK(WEXITSTATUS(server.wait()) == 7);
}

TEST_CASE("a process that serves forks ends when something else is asked of it") {
  Server server(wait_for_the_end);
  REQUIRE(write_all(server.socket().get(), "?", 1));
  CHECK(WEXITSTATUS(server.wait()) == 7);
}

}  // namespace parlance::confined
