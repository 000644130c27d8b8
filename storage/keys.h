// Keys of the RocksDB store, byte by byte. docs/formats.md says the same for readers of the disk.
//
//   key                                     value
//   "!schema"                               decimal number of the layout below (migrations.h)
//   "!epoch"                                decimal number, drawn when the store was made
//   'e' session 0x00 seq(8, big endian)     schemas/codec.h event
//   'm' session 0x00 message id             seq(8) of its MessageAccepted
//   'k' session 0x00 idempotency key        seq(8) of its MessageAccepted
//   'u' session                             seq(8) of the oldest message without a terminal event
//   'p' session 0x00 part(4, big endian)    part 0: message id; part n: text of an answer that is
//                                           still being written
//   's' session                             schemas/record_codec.h client
//   'n' session 0x00 digest(16)             set(8) that has the document; of SHA-256 of its id,
//                                           since keys outlive what they name: in tombstones, and
//                                           in the engine's list of its files
//   'd' session 0x00 set(8)                 schemas/record_codec.h set of documents
//   'v' session 0x00 set(8) index(4)        schemas/record_codec.h passage
//   'w' session 0x00 set(8) tool(1) index(4)  its embedding for the set's tool of that number:
//                                           32-bit floats, little endian
//   'g' session 0x00 set(8)                 empty: the set is being written, and is to be removed
//   'a' agent id                            schemas/record_codec.h agent
//   'b' session id                          schemas/record_codec.h platform session
//   'x' agent id 0x00 session id            empty: the agent has the session
//   'q' kind(1) idempotency key             digest(32) of the request, and then the agent ('a') or
//                                           the platform session ('b') that it made, as it was then
//   'z' agent or session id                 the idempotency key of the request that made it
// A session id never contains 0x00, so no session's keys are a prefix of another's.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/digest.h"
#include "schemas/ids.h"

namespace parlance::storage::keys {

inline constexpr std::string_view kSchema = "!schema";
inline constexpr std::string_view kEpoch = "!epoch";
inline constexpr char kUnfinishedPrefix = 'u';
inline constexpr char kBegunPrefix = 'g';
/// The column family of 'm', 'k', 's' and 'n': looked up often, found rarely.
inline constexpr std::string_view kIdFamily = "ids";
/// The column family of 'd', 'v', 'w' and 'g'; all others but the platform's are in the default
/// one.
inline constexpr std::string_view kDocumentFamily = "documents";
/// The column family of 'a', 'b', 'x', 'q' and 'z'.
inline constexpr std::string_view kPlatformFamily = "platform";

inline void append_be64(std::string& out, std::uint64_t value) {
  for (int shift = 56; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift & 0xff);
}

inline void append_be32(std::string& out, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift & 0xff);
}

inline std::string be64(std::uint64_t value) {
  std::string out;
  append_be64(out, value);
  return out;
}

/// The number in the last eight bytes of `bytes`; 0 when there are fewer.
inline std::uint64_t last_be64(std::string_view bytes) {
  if (bytes.size() < 8) return 0;
  std::uint64_t value = 0;
  for (const char c : bytes.substr(bytes.size() - 8)) {
    value = value << 8 | static_cast<unsigned char>(c);
  }
  return value;
}

/// The number in the last four bytes of `bytes`, which has them.
inline std::uint32_t last_be32(std::string_view bytes) {
  std::uint32_t value = 0;
  for (const char c : bytes.substr(bytes.size() - 4)) {
    value = value << 8 | static_cast<unsigned char>(c);
  }
  return value;
}

/// `kind` session 0x00: the prefix of all of a session's keys of one kind.
inline std::string prefix(char kind, const SessionId& session) {
  std::string out;
  out.reserve(session.text.size() + 2 + 8);
  out += kind;
  out += session.text;
  out += '\0';
  return out;
}

inline std::string event(const SessionId& session, EventSeq seq) {
  std::string out = prefix('e', session);
  append_be64(out, seq);
  return out;
}

inline std::string message(const SessionId& session, std::string_view message_id) {
  return prefix('m', session).append(message_id);
}

inline std::string idempotency(const SessionId& session, std::string_view key) {
  return prefix('k', session).append(key);
}

inline std::string unfinished(const SessionId& session) {
  return kUnfinishedPrefix + session.text;
}

inline std::string part(const SessionId& session, std::uint32_t index) {
  std::string out = prefix('p', session);
  append_be32(out, index);
  return out;
}

inline std::string client(const SessionId& session) {
  return 's' + session.text;
}

inline std::string document_id(const SessionId& session, std::string_view id) {
  return prefix('n', session).append(sha256(id), 0, 16);
}

inline std::string agent(std::string_view id) {
  return std::string("a").append(id);
}

inline std::string platform_session(std::string_view id) {
  return std::string("b").append(id);
}

/// The prefix of an agent's sessions.
inline std::string sessions_of(std::string_view agent_id) {
  return std::string("x").append(agent_id).append(1, '\0');
}

inline std::string session_of(std::string_view agent_id, std::string_view session) {
  return sessions_of(agent_id).append(session);
}

/// `kind`: of what the request made.
inline std::string request(char kind, std::string_view idempotency_key) {
  return std::string{'q', kind}.append(idempotency_key);
}

inline std::string request_of(std::string_view id) {
  return std::string("z").append(id);
}

/// 'd' or 'g' of a set, or the prefix of its keys of the kind 'v' or 'w'.
inline std::string set(char kind, const SessionId& session, std::uint64_t number) {
  std::string out = prefix(kind, session);
  append_be64(out, number);
  return out;
}

inline std::string passage(const SessionId& session, std::uint64_t number, std::uint32_t index) {
  std::string out = set('v', session, number);
  append_be32(out, index);
  return out;
}

inline std::string vector(const SessionId& session, std::uint64_t number, std::uint8_t tool,
                          std::uint32_t index) {
  std::string out = set('w', session, number);
  out += static_cast<char>(tool);
  append_be32(out, index);
  return out;
}

/// The first key after all that begin with `prefix`, which is not all 0xff.
inline std::string past(std::string prefix) {
  while (static_cast<unsigned char>(prefix.back()) == 0xff) prefix.pop_back();
  prefix.back() = static_cast<char>(static_cast<unsigned char>(prefix.back()) + 1);
  return prefix;
}

}  // namespace parlance::storage::keys
