// Agents and their sessions, as the platform's clients make them (docs/formats.md, `/api/v1`).
// A platform session is a session like any other: its id names its log.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "schemas/ids.h"

namespace parlance {

using AgentId = Id<struct AgentTag>;  ///< A UUIDv7, in lower case.

/// What its owner says of an agent. Texts are valid UTF-8 in NFC.
struct AgentSettings {
  std::string name;
  std::optional<std::string> description;
  std::string prompt;                 ///< The system message of its model calls.
  std::optional<std::string> model;   ///< Unset: the provider's.
  std::optional<double> temperature;  ///< 0 to 2; unset: the provider's.
  std::optional<std::string> voice;   ///< Unset: the provider's.
  std::vector<std::string> tools;     ///< Names of built-in tools it may call.
  friend bool operator==(const AgentSettings&, const AgentSettings&) = default;
};

struct Agent {
  AgentId id;
  AgentSettings settings;
  WallTime created_at;
  WallTime updated_at;
  std::uint64_t version = 1;  ///< Rises by one with every change.
  friend bool operator==(const Agent&, const Agent&) = default;
};

struct PlatformSessionSettings {
  AgentId agent;
  std::optional<std::string> title;
  std::string metadata = "{}";  ///< A JSON object, as text.
  friend bool operator==(const PlatformSessionSettings&, const PlatformSessionSettings&) = default;
};

struct PlatformSession {
  SessionId id;  ///< A UUIDv7, in lower case.
  PlatformSessionSettings settings;
  WallTime created_at;
  WallTime updated_at;
  std::uint64_t version = 1;
  friend bool operator==(const PlatformSession&, const PlatformSession&) = default;
};

/// A request that may come twice. `key` is empty when the client gave none; `digest` tells its
/// repeats from other requests with the same key.
struct RepeatableRequest {
  std::string key;
  std::string digest;
};

/// A page of a list, newest first.
struct ListRange {
  std::size_t limit = 50;
  std::string before;  ///< Only ids under this one; empty: from the newest.
};

}  // namespace parlance
