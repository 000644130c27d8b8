#pragma once
// What the kernel says about a process: processor time and memory, from /proc. For the server under
// test (by its process id) and for the measuring program itself.

#include <cstdint>
#include <optional>

#include <sys/types.h>

namespace parlance::benchmarks {

/// Bytes. Private is what ending the process would free, which is what "memory per session" means;
/// on a machine where others map the same files it also moves with what they do, and anonymous
/// memory does not.
struct ProcessMemory {
  uint64_t resident = 0;
  uint64_t anonymous = 0;
  uint64_t proportional = 0;
  uint64_t private_pages = 0;  // Private_Clean + Private_Dirty
};

/// Throw std::runtime_error that names the process when it is gone or not ours to look at.
int64_t process_cpu_ns(pid_t pid);
ProcessMemory process_memory(pid_t pid);

/// User and system time of this process.
int64_t own_cpu_ns();

/// A window of time over which processor time is compared with the clock.
class CpuWindow {
 public:
  /// `pid` of the process to watch; 0 watches this one.
  explicit CpuWindow(pid_t pid) : pid_(pid) {}

  void begin();
  void end();

  double wall_seconds() const { return static_cast<double>(wall_ns_) / 1e9; }
  double cpu_seconds() const { return static_cast<double>(cpu_ns_) / 1e9; }
  /// 100 is one core kept busy.
  double percent() const { return wall_ns_ > 0 ? 100.0 * cpu_seconds() / wall_seconds() : 0; }

 private:
  int64_t cpu_now() const { return pid_ == 0 ? own_cpu_ns() : process_cpu_ns(pid_); }

  pid_t pid_;
  int64_t wall_ns_ = 0;
  int64_t cpu_ns_ = 0;
};

}  // namespace parlance::benchmarks
