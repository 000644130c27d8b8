// What a confined process can still do, tried in children of the test.

#include "confined/confinement.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "confined/descriptor_io.h"

namespace parlance::confined {
namespace {

constexpr int kNotConfined = 99;
constexpr int kSucceeded = 98;

struct Setting {
  std::chrono::seconds cpu_max{20};
  int descriptors_received_max = 0;
  int standard_input = -1;  ///< Becomes it, and nothing else but the standard ones stays open.
};

/// The status of a child that confines itself and then exits with what `attempt` returns.
int status_of(const std::function<int()>& attempt, const Setting& setting = {}) {
  const pid_t child = fork();
  if (child == 0) {
    if (setting.standard_input >= 0) {
      dup2(setting.standard_input, STDIN_FILENO);
      closefrom(STDERR_FILENO + 1);
    }
    const Status confined =
        confine({std::size_t{1} << 30, setting.cpu_max, setting.descriptors_received_max});
    _exit(confined ? attempt() : kNotConfined);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  return status;
}

/// Sends a byte and `descriptor` over `socket`.
void hand_over(int socket, int descriptor) {
  char byte = 'x';
  iovec piece{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof descriptor)] = {};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof descriptor);
  std::memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
  REQUIRE(sendmsg(socket, &message, 0) == 1);
}

/// The errno of `attempt`, which fails with -1, in a confined child.
int error_of(const std::function<long()>& attempt) {
  const int status = status_of([&] { return attempt() == -1 ? errno : kSucceeded; });
  REQUIRE(WIFEXITED(status));
  return WEXITSTATUS(status);
}

}  // namespace

TEST_CASE("a confined process opens no socket") {
  CHECK(error_of([] { return socket(AF_INET, SOCK_STREAM, 0); }) == EPERM);
  CHECK(error_of([] { return socket(AF_UNIX, SOCK_STREAM, 0); }) == EPERM);
  int pair[2];
  CHECK(error_of([&] { return socketpair(AF_UNIX, SOCK_STREAM, 0, pair); }) == EPERM);
}

TEST_CASE("a confined process opens no file, not even to read") {
  CHECK(error_of([] { return open("/etc/passwd", O_RDONLY); }) == EPERM);
  CHECK(error_of([] { return open("/tmp", O_TMPFILE | O_RDWR, 0600); }) == EPERM);
  CHECK(error_of([] { return open("/tmp/confinement_test", O_CREAT | O_WRONLY, 0600); }) == EPERM);
}

TEST_CASE("a confined process changes nothing on disk") {
  CHECK(error_of([] { return unlink("/nothing"); }) == EPERM);
  CHECK(error_of([] { return rename("/nothing", "/nothing2"); }) == EPERM);
  CHECK(error_of([] { return mkdir("/nothing", 0700); }) == EPERM);
  CHECK(error_of([] { return chmod("/nothing", 0700); }) == EPERM);
  CHECK(error_of([] { return symlink("/nothing", "/nothing2"); }) == EPERM);
  CHECK(error_of([] { return truncate("/nothing", 0); }) == EPERM);
}

TEST_CASE("a confined process cannot write to a file that is open already") {
  std::FILE* const file = std::tmpfile();
  REQUIRE(file != nullptr);
  const int descriptor = fileno(file);
  // The limit on file sizes: EFBIG, and SIGXFSZ unless it is ignored.
  const int error = error_of([&] {
    std::signal(SIGXFSZ, SIG_IGN);
    return write(descriptor, "x", 1);
  });
  CHECK(error == EFBIG);
  std::fclose(file);
}

TEST_CASE("a confined process starts no process and no program") {
  CHECK(error_of([] { return fork(); }) == EPERM);
  char name[] = "/bin/true";
  char* const argv[] = {name, nullptr};
  CHECK(error_of([&] { return execve(name, argv, nullptr); }) == EPERM);
}

TEST_CASE("a confined process looks into and signals no other") {
  const pid_t parent = getpid();
  CHECK(error_of([&] { return ptrace(PTRACE_ATTACH, parent, 0, 0); }) == EPERM);
  CHECK(error_of([&] { return kill(parent, 0); }) == EPERM);
}

TEST_CASE("a confined process makes no memory executable") {
  CHECK(error_of([] {
          void* const got =
              mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
          return got == MAP_FAILED ? -1 : 0;
        }) == EPERM);
}

TEST_CASE("a confined process still computes and reaches what is open") {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const int status = status_of([&] {
    std::string text(1 << 20, 'x');
    return write(ends[1], text.data(), 3) == 3 ? 0 : 1;
  });
  CHECK(status == 0);
  char text[3];
  CHECK(read(ends[0], text, sizeof text) == 3);
  close(ends[0]);
  close(ends[1]);
}

TEST_CASE("a confined process reads a file that is handed to it, and no second one") {
  std::FILE* const file = std::tmpfile();
  REQUIRE(file != nullptr);
  REQUIRE(std::fputs("abc", file) >= 0);
  REQUIRE(std::fflush(file) == 0);
  int ends[2];
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  hand_over(ends[0], fileno(file));
  hand_over(ends[0], fileno(file));
  const int status = status_of(
      [] {
        char byte = 0;
        char text[3] = {};
        int first = -1;
        int second = -1;
        if (!read_all_with_descriptor(STDIN_FILENO, &byte, 1, first)) return 1;
        if (!read_all_with_descriptor(STDIN_FILENO, &byte, 1, second)) return 2;
        if (pread(first, text, sizeof text, 0) != 3 || std::string(text, 3) != "abc") return 3;
        return second == -1 ? 0 : 4;
      },
      {.descriptors_received_max = 1, .standard_input = ends[1]});
  CHECK(status == 0);
  close(ends[0]);
  close(ends[1]);
  std::fclose(file);
}

TEST_CASE("a confined process that computes too long is ended") {
  const int status = status_of(
      [] {
        volatile bool on = true;
        while (on) {
        }
        return 0;
      },
      {.cpu_max = std::chrono::seconds(1)});
  REQUIRE(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGXCPU);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST_CASE("a confined process gets no more memory than its limit") {
  CHECK(error_of([] {
          void* const got = mmap(nullptr, std::size_t{2} << 30, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
          return got == MAP_FAILED ? -1 : 0;
        }) == ENOMEM);
}
#endif

}  // namespace parlance::confined
