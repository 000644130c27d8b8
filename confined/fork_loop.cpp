#include "confined/fork_loop.h"

#include <cerrno>
#include <csignal>

#include <sys/prctl.h>
#include <unistd.h>

extern "C" {  // Which the header of glibc 2.36 leaves out.
#include <sys/pidfd.h>
}

#include "base/unique_fd.h"
#include "confined/descriptor_io.h"

namespace parlance::confined {
namespace {

constexpr int kNotForked = 5;

[[noreturn]] void be_child(pid_t parent, int end, const std::function<int()>& run) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(kNotForked);  // It has ended before that.
  if (dup2(end, STDIN_FILENO) < 0 || dup2(end, STDOUT_FILENO) < 0) _exit(kNotForked);
  closefrom(STDERR_FILENO + 1);
  // Not `return`: what libraries do at the end of a process is not worth allowing.
  _exit(run());
}

}  // namespace

void serve_forks(const std::function<int()>& run) {
  // Nobody waits for the children. One that ends before its pidfd is there was sent nothing yet, so
  // no stranger can make it end just in time for another process to get its id.
  struct sigaction unwaited {};
  unwaited.sa_handler = SIG_DFL;
  unwaited.sa_flags = SA_NOCLDWAIT;
  sigaction(SIGCHLD, &unwaited, nullptr);
  const pid_t self = getpid();
  for (;;) {
    char request = 0;
    int received = -1;
    if (!read_all_with_descriptor(STDIN_FILENO, &request, 1, received)) return;
    UniqueFd end(received);
    if (!end || request != kForkByte) return;
    const pid_t child = fork();
    if (child == 0) be_child(self, end.get(), run);
    end.reset();
    const UniqueFd pidfd(child > 0 ? pidfd_open(child, 0) : -1);
    ssize_t sent = -1;
    do {
      sent = send_with_descriptor(STDIN_FILENO, {&request, 1}, pidfd.get(), 0);
    } while (sent < 0 && errno == EINTR);
    if (sent != 1) return;
  }
}

}  // namespace parlance::confined
