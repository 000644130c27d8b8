#include "schemas/document.h"

#include <charconv>

#include "schemas/client.h"

namespace parlance {

const char* to_string(LifecycleState state) noexcept {
  switch (state) {
    case LifecycleState::authorized:
      return "authorized";
    case LifecycleState::initialized:
      return "initialized";
    case LifecycleState::reauthorized:
      return "reauthorized";
    case LifecycleState::closed:
      return "closed";
    case LifecycleState::deactivated:
      return "deactivated";
  }
  return "";
}

const char* to_string(Scope scope) noexcept {
  return scope == Scope::temporary ? "temporary" : "persistent";
}

std::string to_string(const PassageId& id) {
  return std::to_string(id.set) + '-' + std::to_string(id.index);
}

std::optional<PassageId> parse_passage_id(std::string_view text) {
  PassageId id;
  const char* const end = text.data() + text.size();
  const auto set = std::from_chars(text.data(), end, id.set);
  if (set.ec != std::errc{} || set.ptr == end || *set.ptr != '-') return std::nullopt;
  const auto index = std::from_chars(set.ptr + 1, end, id.index);
  if (index.ec != std::errc{} || index.ptr != end) return std::nullopt;
  return id;
}

}  // namespace parlance
