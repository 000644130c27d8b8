// The process's log: one line per event, a fixed phrase, then key=value pairs.
// Levels: error = someone must act; warn = handled but worse than usual; info = start, stop;
// debug = per run; trace = per frame. Never message text, keys or tokens at info and above.
// Any thread.
#pragma once

#include <string_view>

#include <fmt/format.h>

#include "base/result.h"

namespace parlance::log {

enum class Level : unsigned char { trace, debug, info, warn, error, off };

/// Sets the lowest level that is written. Default: info.
void set_level(Level level);
Result<Level> parse_level(std::string_view name);
bool enabled(Level level) noexcept;
void write(Level level, std::string_view line);

/// Makes `text` safe as a value: valid UTF-8 in quotes, control bytes escaped, cut at 200 bytes.
std::string value(std::string_view text);

template <class... Args>
void emit(Level level, fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(level)) write(level, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void trace(fmt::format_string<Args...> format, Args&&... args) {
  emit(Level::trace, format, std::forward<Args>(args)...);
}
template <class... Args>
void debug(fmt::format_string<Args...> format, Args&&... args) {
  emit(Level::debug, format, std::forward<Args>(args)...);
}
template <class... Args>
void info(fmt::format_string<Args...> format, Args&&... args) {
  emit(Level::info, format, std::forward<Args>(args)...);
}
template <class... Args>
void warn(fmt::format_string<Args...> format, Args&&... args) {
  emit(Level::warn, format, std::forward<Args>(args)...);
}
template <class... Args>
void error(fmt::format_string<Args...> format, Args&&... args) {
  emit(Level::error, format, std::forward<Args>(args)...);
}

}  // namespace parlance::log
