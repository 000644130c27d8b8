#include "confined/confinement.h"

#include <array>
#include <cerrno>
#include <memory>
#include <system_error>

#include <fmt/format.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define PARLANCE_SHADOW_MEMORY 1
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define PARLANCE_SHADOW_MEMORY 1
#endif
#ifndef PARLANCE_SHADOW_MEMORY
#define PARLANCE_SHADOW_MEMORY 0
#endif

namespace parlance::confined {
namespace {

using Filter = std::unique_ptr<void, decltype(&seccomp_release)>;

// What is called with any arguments. Anything that is not listed here or in `allow_with_care`
// fails with EPERM: sockets, fork, exec, ptrace, every way to open, make, change or remove a file.
constexpr std::array kAllowed = {
    SCMP_SYS(brk),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(close),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(futex),
    SCMP_SYS(getcpu),
    SCMP_SYS(getpid),
    SCMP_SYS(getrandom),
    SCMP_SYS(getrusage),
    SCMP_SYS(gettid),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(madvise),
    SCMP_SYS(mremap),
    SCMP_SYS(munmap),
    SCMP_SYS(read),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(write),
};

Error refused(std::string_view what, int error) {
  return {Errc::unavailable,
          fmt::format("cannot {}: {}", what, std::generic_category().message(error))};
}

/// Memory must not become code, signals reach this process alone, and files come over standard
/// input or not at all.
int allow_with_care(scmp_filter_ctx filter, bool receives_descriptors) {
  int result = 0;
  const auto allow = [&](int call, scmp_arg_cmp condition) {
    if (result == 0) result = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call, 1, &condition);
  };
  allow(SCMP_SYS(mmap), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
  allow(SCMP_SYS(mprotect), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
  allow(SCMP_SYS(tgkill), SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(getpid())));
  if (!receives_descriptors) return result;
  allow(SCMP_SYS(recvmsg), SCMP_A0(SCMP_CMP_EQ, STDIN_FILENO));
  if (result == 0)
    result = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(pread64), 0, nullptr);
  return result;
}

Status filter_calls(bool receives_descriptors) {
  const Filter filter(seccomp_init(SCMP_ACT_ERRNO(EPERM)), seccomp_release);
  if (!filter) return refused("make a system call filter", ENOMEM);
  // Any other architecture's numbers, which would pass for other calls.
  int result = seccomp_attr_set(filter.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
  for (const int call : kAllowed) {
    if (result == 0)
      result = seccomp_rule_add_array(filter.get(), SCMP_ACT_ALLOW, call, 0, nullptr);
  }
  if (result == 0) result = allow_with_care(filter.get(), receives_descriptors);
  if (result == 0) result = seccomp_load(filter.get());
  if (result != 0) return refused("load the system call filter", -result);
  return {};
}

Status set_limit(__rlimit_resource resource, rlim_t soft, rlim_t hard, std::string_view what) {
  const rlimit limit{soft, hard};
  if (setrlimit(resource, &limit) != 0) return refused(what, errno);
  return {};
}

}  // namespace

Status confine(const Confinement& confinement) {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return refused("drop privileges", errno);
  const auto seconds = static_cast<rlim_t>(confinement.cpu_max.count());
  const bool receives_descriptors = confinement.descriptors_received_max > 0;
  const rlim_t descriptors =
      receives_descriptors
          ? STDERR_FILENO + 1 + static_cast<rlim_t>(confinement.descriptors_received_max)
          : 0;
  struct Limit {
    __rlimit_resource resource;
    rlim_t soft;
    rlim_t hard;
    const char* what;
  };
  const Limit limits[] = {
      {RLIMIT_CORE, 0, 0, "forbid core files"},
      {RLIMIT_FSIZE, 0, 0, "forbid files"},
      {RLIMIT_NOFILE, descriptors, descriptors, "forbid further descriptors"},
      {RLIMIT_NPROC, 0, 0, "forbid processes"},
      {RLIMIT_CPU, seconds, seconds + 1, "limit CPU time"},
      {RLIMIT_AS, confinement.memory_bytes_max, confinement.memory_bytes_max, "limit memory"},
  };
  for (const Limit& limit : limits) {
    if (limit.resource == RLIMIT_AS && PARLANCE_SHADOW_MEMORY != 0) continue;
    auto set = set_limit(limit.resource, limit.soft, limit.hard, limit.what);
    if (!set) return set;
  }
  return filter_calls(receives_descriptors);
}

}  // namespace parlance::confined
