#include "base/log.h"

#include <algorithm>
#include <atomic>

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "base/json.h"

namespace parlance::log {
namespace {

std::atomic<Level> lowest{Level::info};

spdlog::logger& logger() {
  // Standard error: standard output belongs to what a program prints for its caller.
  static const std::shared_ptr<spdlog::logger> instance = [] {
    auto made = spdlog::stderr_logger_mt("parlance");
    made->set_level(spdlog::level::trace);
    made->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc);
    return made;
  }();
  return *instance;
}

spdlog::level::level_enum to_spdlog(Level level) {
  switch (level) {
    case Level::trace:
      return spdlog::level::trace;
    case Level::debug:
      return spdlog::level::debug;
    case Level::info:
      return spdlog::level::info;
    case Level::warn:
      return spdlog::level::warn;
    case Level::error:
      return spdlog::level::err;
    case Level::off:
      return spdlog::level::off;
  }
  return spdlog::level::info;
}

}  // namespace

void set_level(Level level) {
  lowest.store(level, std::memory_order_relaxed);
}

bool enabled(Level level) noexcept {
  return level >= lowest.load(std::memory_order_relaxed);
}

void write(Level level, std::string_view line) {
  logger().log(to_spdlog(level), spdlog::string_view_t(line.data(), line.size()));
}

Result<Level> parse_level(std::string_view name) {
  constexpr std::pair<std::string_view, Level> kNames[] = {
      {"trace", Level::trace}, {"debug", Level::debug},   {"info", Level::info},
      {"warn", Level::warn},   {"warning", Level::warn},  {"error", Level::error},
      {"off", Level::off},     {"critical", Level::error}};
  std::string lower(name);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  for (const auto& [known, level] : kNames) {
    if (known == lower) return level;
  }
  return Error{Errc::invalid_argument,
               "a log level is one of trace, debug, info, warn, error, off; got '" + lower + "'"};
}

std::string value(std::string_view text) {
  constexpr std::size_t kBytesMax = 200;
  std::size_t end = std::min(text.size(), kBytesMax);
  while (end < text.size() && end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) {
    --end;  // Between characters.
  }
  std::string out = "\"";
  for (const char c : json::to_valid_utf8(text.substr(0, end))) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  if (end < text.size()) out += "...";
  out += '"';
  return out;
}

}  // namespace parlance::log
