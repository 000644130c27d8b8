// The agent platform: the dialect of /api/v1. Pure functions between bytes and the vocabulary of
// schemas/; any thread. Bodies are checked against the JSON Schemas of schemas/api; texts become
// valid UTF-8 in NFC.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "dialects/problem.h"
#include "schemas/ids.h"
#include "schemas/platform.h"

namespace parlance::dialects::platform {

inline constexpr std::size_t kMetadataBytesMax = 16 << 10;
inline constexpr int kMetadataDepthMax = 16;
inline constexpr std::size_t kListLimitMax = 200;
/// A list that gets longer than this ends there, and goes on at its `next_cursor`.
inline constexpr std::size_t kListBytesMax = 4 << 20;

// ---- What a client says ----

std::variant<AgentSettings, Problem> parse_agent(std::string_view body);
std::variant<PlatformSessionSettings, Problem> parse_session(std::string_view body);

struct TextMessage {
  SessionId session;
  std::string text;
};
std::variant<TextMessage, Problem> parse_text_message(std::string_view body,
                                                      std::size_t text_bytes_max);
/// The session of the message that is to be run again.
std::variant<SessionId, Problem> parse_retry(std::string_view body);

/// Of `?limit=` and `?cursor=`.
std::variant<ListRange, Problem> parse_range(std::optional<std::string_view> limit,
                                             std::optional<std::string_view> cursor);
/// Of `?agent_id=`.
std::variant<std::optional<AgentId>, Problem> parse_agent_filter(
    std::optional<std::string_view> agent);
/// Of `?cascade=`.
std::variant<bool, Problem> parse_cascade(std::optional<std::string_view> cascade);

/// If-Match (RFC 9110, 13.1.1).
struct VersionCondition {
  bool any = true;                           ///< No header, or `*`.
  std::vector<std::uint64_t> versions = {};  ///< Else one of these; there may be none.
};
/// `header` has the values of all its lines, joined by commas. A tag that is weak or not of ours is
/// one that never matches.
std::variant<VersionCondition, Problem> parse_if_match(std::string_view header);

// ---- What it is told ----

std::string agent_json(const Agent& agent);
std::string session_json(const PlatformSession& session);

/// A page of a list. `found` may have one more than `limit`, which tells that there is a next page.
std::string agents_json(std::span<const Agent> found, std::size_t limit);
std::string sessions_json(std::span<const PlatformSession> found, std::size_t limit);

/// The ETag of an entity of this version.
std::string etag_of(std::uint64_t version);

Problem no_such_agent();
Problem no_such_session();
Problem no_such_message();

}  // namespace parlance::dialects::platform
