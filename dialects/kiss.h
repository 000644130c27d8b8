// The KISS stack's dialect: what comes in by /auth, /sessions, /queries and by frames of /ws, and
// every answer, in both envelopes. Bodies of /documents are in kiss_documents.h, and what an answer
// says of a run in kiss_answer.h.
// Pure functions between bytes and the vocabulary of schemas/; any thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "dialects/problem.h"
#include "schemas/client.h"
#include "schemas/document.h"
#include "schemas/ids.h"

namespace parlance::dialects::kiss {

inline constexpr std::size_t kSecretBytesMax = 1024;

// ---- What a client says ----

/// A new session.
struct NewClient {
  Scope scope = Scope::temporary;
};
/// A persistent client that comes back.
struct KnownClient {
  SessionId id;
  std::string secret;
};
using AuthRequest = std::variant<NewClient, KnownClient>;

/// POST /auth. 401 where neither a scope nor both credentials are given.
std::variant<AuthRequest, Problem> parse_auth(std::string_view body);

enum class Action : std::uint8_t { init, close };
/// The value of `?action=`; nothing when it is absent.
std::variant<Action, Problem> parse_action(std::optional<std::string_view> action);

struct SessionRequest {
  std::optional<std::string> query;  ///< A greeting of the client's.
};
/// POST /sessions of `client`; an empty body is taken for {}. 403 where it names another session.
std::variant<SessionRequest, Problem> parse_session(std::string_view body, const SessionId& client,
                                                    std::size_t text_bytes_max);

struct QueryRequest {
  std::string query;
  bool stream = false;  ///< Steps and deltas before the answer. Of /ws; has no effect over REST.
};
/// POST /queries.
std::variant<QueryRequest, Problem> parse_query(std::string_view body, std::size_t text_bytes_max);

// ---- Frames of /ws ----

enum class Event : std::uint8_t { auth, init, query, store, close };

/// The name of a frame's event as the client wrote it: the answer has the same, and its case picks
/// the answer's shape.
struct EventName {
  Event event = Event::auth;
  bool upper = true;
  /// "ON_AUTH", "on_auth", ...
  std::string_view text() const noexcept;
};

struct ClientFrame {
  EventName name;
  /// Where in the text the value of `data` is, which is not looked into here; "{}" is meant where
  /// the frame has none.
  std::size_t data_begin = 0;
  std::size_t data_bytes = 0;
};
/// A frame that cannot be understood.
struct BadFrame {
  std::optional<std::string> event;  ///< What it called itself, where that was readable.
  Problem problem;
};
std::variant<ClientFrame, BadFrame> parse_frame(std::string_view text);

// ---- What the server says. Each of these is the object that REST answers with. ----

/// With the only telling of the secret.
std::string auth_answer(const SessionId& client, Scope scope, std::string_view secret,
                        std::string_view access_token, std::chrono::seconds expires_in);
/// The greeting or the farewell.
std::string session_answer(const SessionId& client, Action action, const SessionRequest& request);
std::string documents_answer(const SessionId& client, const DocumentsAccepted& accepted);
/// GET /passages/{id}.
std::string passage_answer(const PassageText& passage);

/// `answer`, one of the objects above, as a frame of /ws: nested or flat, as `name` is written.
std::string answer_frame(const EventName& name, std::string_view answer);
/// `step`, an object of the step stream, as a frame about the query `name`.
std::string step_frame(const EventName& name, std::string_view step);
/// {"error":true,"event","status_code","detail"}; `event` is null where it is nothing.
std::string error_frame(std::optional<std::string_view> event, const Problem& problem);

}  // namespace parlance::dialects::kiss
