#include "base/clock.h"

#include <ctime>

#include <fmt/format.h>

namespace parlance {
namespace {

std::tm utc(WallTime time) {
  const auto seconds = static_cast<std::time_t>(
      std::chrono::floor<std::chrono::seconds>(std::chrono::milliseconds(time.ms)).count());
  std::tm out{};
  gmtime_r(&seconds, &out);
  return out;
}

}  // namespace

WallTime wall_now() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return {std::chrono::duration_cast<std::chrono::milliseconds>(now).count()};
}

std::string to_history_time(WallTime time) {
  const std::tm t = utc(time);
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02}", t.tm_year + 1900, t.tm_mon + 1,
                     t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec);
}

std::string to_rfc3339(WallTime time) {
  const std::tm t = utc(time);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", t.tm_year + 1900, t.tm_mon + 1,
                     t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec, (time.ms % 1000 + 1000) % 1000);
}

}  // namespace parlance
