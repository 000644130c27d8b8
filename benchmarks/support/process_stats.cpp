#include "benchmarks/support/process_stats.h"

#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include "benchmarks/support/clock.h"

namespace parlance::benchmarks {
namespace {

std::ifstream open_proc(pid_t pid, const char* name) {
  std::ifstream file(fmt::format("/proc/{}/{}", pid, name));
  if (!file) throw std::runtime_error(fmt::format("cannot read /proc/{}/{}", pid, name));
  return file;
}

int64_t to_ns(const timeval& time) {
  return time.tv_sec * kNsPerSecond + time.tv_usec * kNsPerUs;
}

}  // namespace

int64_t process_cpu_ns(pid_t pid) {
  auto file = open_proc(pid, "stat");
  std::string text;
  std::getline(file, text);
  // The second field, the name, may hold spaces and brackets: count from its last bracket.
  std::istringstream fields(text.substr(text.rfind(')') + 1));
  std::string skipped;
  for (int field = 3; field < 14; ++field) fields >> skipped;
  int64_t user_ticks = 0;
  int64_t system_ticks = 0;
  fields >> user_ticks >> system_ticks;
  if (!fields) throw std::runtime_error(fmt::format("process {} is gone", pid));
  return (user_ticks + system_ticks) * (kNsPerSecond / ::sysconf(_SC_CLK_TCK));
}

ProcessMemory process_memory(pid_t pid) {
  auto file = open_proc(pid, "smaps_rollup");
  ProcessMemory result;
  bool found = false;
  std::string line;
  while (std::getline(file, line)) {
    std::istringstream fields(line);
    std::string key;
    uint64_t kib = 0;
    fields >> key >> kib;
    if (key == "Rss:") {
      result.resident = kib << 10;
      found = true;
    }
    if (key == "Anonymous:") result.anonymous = kib << 10;
    if (key == "Pss:") result.proportional = kib << 10;
    if (key == "Private_Clean:" || key == "Private_Dirty:") result.private_pages += kib << 10;
  }
  if (!found) throw std::runtime_error(fmt::format("process {} is gone", pid));
  return result;
}

int64_t own_cpu_ns() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return to_ns(usage.ru_utime) + to_ns(usage.ru_stime);
}

void CpuWindow::begin() {
  wall_ns_ = -now_ns();
  cpu_ns_ = -cpu_now();
}

void CpuWindow::end() {
  wall_ns_ += now_ns();
  cpu_ns_ += cpu_now();
}

}  // namespace parlance::benchmarks
