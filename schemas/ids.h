// Names of things, as distinct types: a session id never passes for a message id.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace parlance {

/// A string that names one kind of thing. `Tag` only keeps the kinds apart.
template <class Tag>
struct Id {
  std::string text;

  friend auto operator<=>(const Id&, const Id&) = default;
};

using SessionId = Id<struct SessionTag>;
using MessageId = Id<struct MessageTag>;

inline constexpr std::size_t kSessionIdBytesMax = 128;
inline constexpr std::size_t kMessageIdBytesMax = 128;

/// True for 1 to 128 of `A-Z a-z 0-9 . _ ~ -` (the contract's chat_id), except "." and "..".
bool valid_session_id(std::string_view text) noexcept;

/// Place of a recorded event in its session's log: 1, 2, 3, ... with no hole. 0 is before the
/// first.
using EventSeq = std::uint64_t;

/// A place in a session's log that outlives this process. `epoch` names the log's incarnation: a
/// cursor of another epoch can't be served. Opaque to clients; written "<epoch>-<seq>".
struct Cursor {
  std::uint64_t epoch = 0;
  EventSeq seq = 0;

  friend auto operator<=>(const Cursor&, const Cursor&) = default;  // NOLINT(modernize-use-nullptr)
};

std::string to_string(const Cursor& cursor);
/// Nothing when `text` is not two decimal numbers joined by '-'.
std::optional<Cursor> parse_cursor(std::string_view text);

}  // namespace parlance

template <class Tag>
struct std::hash<parlance::Id<Tag>> {
  // Not noexcept, which makes libstdc++ keep each element's hash beside it: ids are long enough
  // that hashing them again costs more than the eight bytes.
  std::size_t operator()(const parlance::Id<Tag>& id) const {
    return std::hash<std::string>{}(id.text);
  }
};
