// A child process with one socket as its standard input and output: no other descriptor of ours, no
// environment, standard error thrown away. Destruction kills it, and reaps it where it is ours.
//
// One that serves forks (confined/fork_loop.h) has children that are loaded when they begin. They
// are no children of this process: a pidfd names such a one, so that never another is killed, and
// nobody learns how it ended. They all die with the one that forked them.
// Owner: whoever asked for its work. Thread: one at a time.
#pragma once

#include <chrono>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sys/types.h>

#include "base/result.h"
#include "base/unique_fd.h"

namespace parlance::confined {

/// `configured`, or where it is empty the program `name` beside the running one; only the name
/// where that cannot be found out.
std::string program_path(const std::string& configured, std::string_view name);

class ChildProcess {
 public:
  using Deadline = std::chrono::steady_clock::time_point;

  /// Starts `program` with `arguments`. Errors: unavailable.
  static Result<ChildProcess> start(const std::string& program,
                                    const std::vector<std::string>& arguments);

  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&&) = delete;
  ~ChildProcess();

  /// A new child of this one, which serves forks; waits until it is loaded. Errors:
  /// resource_exhausted (the system refuses, or the new one was killed at once); deadline_exceeded
  /// and unavailable (it has ended), after which it is of no use.
  Result<ChildProcess> fork(Deadline deadline);

  /// Sends all of `bytes`. Errors: deadline_exceeded; unavailable (the child has closed its end, or
  /// speaks before it has heard everything).
  Status send(std::span<const char> bytes, Deadline deadline);

  /// The same, and hands over a copy of `descriptor` with the first byte.
  Status send(std::span<const char> bytes, int descriptor, Deadline deadline);

  /// Waits until the child says something, or closes its end. Errors: deadline_exceeded.
  Status await_word(Deadline deadline);

  /// Fills `bytes`. Errors: deadline_exceeded; unavailable (the child has closed its end).
  Status receive(std::span<char> bytes, Deadline deadline);

  /// Kills and reaps the child, once. The status as waitpid gives it; 0 when it was reaped before,
  /// and for one that was forked.
  int end() noexcept;

 private:
  ChildProcess(pid_t pid, UniqueFd pidfd, UniqueFd socket)
      : pid_(pid), pidfd_(std::move(pidfd)), socket_(std::move(socket)) {}
  Status wait_for(short events, short& ready, Deadline deadline);
  Status send_some(std::span<const char>& bytes, int descriptor, Deadline deadline);

  pid_t pid_;       ///< -1: it was forked, or is reaped.
  UniqueFd pidfd_;  ///< Of one that was forked.
  UniqueFd socket_;
};

}  // namespace parlance::confined
