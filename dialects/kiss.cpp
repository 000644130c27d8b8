#include "dialects/kiss.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/json.h"
#include "dialects/members.h"
#include "dialects/raw_member.h"

namespace parlance::dialects::kiss {
namespace {

using Kind = Member::Kind;

constexpr std::size_t kExcerptBytes = 64;

struct EventRow {
  Event event;
  std::string_view upper, lower;
};
constexpr EventRow kEvents[] = {{Event::auth, "ON_AUTH", "on_auth"},
                                {Event::init, "ON_INIT", "on_init"},
                                {Event::query, "ON_QUERY", "on_query"},
                                {Event::store, "ON_STORE", "on_store"},
                                {Event::close, "ON_CLOSE", "on_close"}};

/// The start of `text` for an error, cut between characters.
std::string excerpt(std::string_view text) {
  if (text.size() <= kExcerptBytes) return std::string(text);
  std::size_t end = kExcerptBytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return std::string(text.substr(0, end)) + "...";
}

/// Present and not null.
bool is_given(const Member& member) {
  return member.kind == Kind::text || member.kind == Kind::other;
}

void note(std::vector<FieldError>& errors, std::string_view name, std::string message) {
  errors.push_back({fmt::format("/{}", name), std::move(message)});
}

/// Notes what is wrong with a text of at most `bytes_max`; it may be left out.
void check_text(std::vector<FieldError>& errors, const Member& member, std::size_t bytes_max) {
  if (member.kind == Kind::other) {
    note(errors, member.name, fmt::format("`{}` must be a string", member.name));
  } else if (member.text.size() > bytes_max) {
    note(errors, member.name,
         fmt::format("`{}` has {} bytes; at most {} are allowed", member.name, member.text.size(),
                     bytes_max));
  }
}

/// True when `body` says {"parameters": {"stream": true}}. `body` is valid JSON.
bool asks_to_stream(std::string_view body) {
  const auto parameters = find_raw_member(body, "parameters");
  if (!parameters) return false;
  const std::string_view value = body.substr(parameters->begin, parameters->bytes);
  const auto stream = find_raw_member(value, "stream");
  return stream && value.substr(stream->begin, stream->bytes) == "true";
}

// ---- Writing. Client ids hold no character that JSON escapes (valid_session_id). ----

void append_member(std::string& out, std::string_view name, std::string_view text) {
  out += out.size() > 1 ? ",\"" : "\"";
  out += name;
  out += "\":";
  json::append_string(out, text);
}

std::string stack_answer(const SessionId& client, std::string_view result) {
  std::string out = "{";
  append_member(out, "stack_id", client.text);
  append_member(out, "result", result);
  out += R"(,"extras":)";
  return out;
}

}  // namespace

// ---- What a client says ----

std::variant<AuthRequest, Problem> parse_auth(std::string_view body) {
  enum { scope, client_id, client_secret };
  std::array<Member, 3> members{{{"scope"}, {"client_id"}, {"client_secret"}}};
  if (const Status read = read_members(body, members); !read) return malformed_body(read.error());

  std::vector<FieldError> errors;
  for (const Member& member : members) check_text(errors, member, kSecretBytesMax);
  Scope wanted = Scope::temporary;
  if (members[scope].kind == Kind::text && !members[scope].text.empty()) {
    if (members[scope].text == to_string(Scope::persistent)) {
      wanted = Scope::persistent;
    } else if (members[scope].text != to_string(Scope::temporary)) {
      note(errors, "scope", "`scope` must be temporary or persistent");
    }
  }
  if (!errors.empty()) return invalid_body(std::move(errors));

  // Clients send what they do not have as null or as an empty string.
  if (!members[client_id].text.empty() && !members[client_secret].text.empty()) {
    if (!valid_session_id(members[client_id].text)) {
      return to_problem({Errc::unauthenticated, "the client is unknown, or the secret is wrong"});
    }
    return KnownClient{SessionId{std::move(members[client_id].text)},
                       std::move(members[client_secret].text)};
  }
  if (!members[scope].text.empty()) return NewClient{wanted};
  return to_problem({Errc::unauthenticated,
                     "give `scope` (temporary or persistent) for a new session, or both "
                     "`client_id` and `client_secret` of a persistent one"});
}

std::variant<Action, Problem> parse_action(std::optional<std::string_view> action) {
  if (action == "init") return Action::init;
  if (action == "close") return Action::close;
  return Problem{.status = 400,
                 .detail = fmt::format("Invalid action: {}", excerpt(action.value_or("")))};
}

std::variant<SessionRequest, Problem> parse_session(std::string_view body, const SessionId& client,
                                                    std::size_t text_bytes_max) {
  if (body.empty()) return SessionRequest{};
  enum { query, session_id };
  std::array<Member, 2> members{{{"query"}, {"session_id"}}};
  if (const Status read = read_members(body, members); !read) return malformed_body(read.error());

  std::vector<FieldError> errors;
  check_text(errors, members[query], text_bytes_max);
  check_text(errors, members[session_id], kSessionIdBytesMax);
  if (!errors.empty()) return invalid_body(std::move(errors));
  if (members[session_id].kind == Kind::text && members[session_id].text != client.text) {
    return to_problem({Errc::permission_denied,
                       "`session_id` is not the session of this access token; leave it out"});
  }
  SessionRequest request;
  if (members[query].kind == Kind::text) request.query = std::move(members[query].text);
  return request;
}

std::variant<QueryRequest, Problem> parse_query(std::string_view body, std::size_t text_bytes_max) {
  enum { query, parameters };
  std::array<Member, 2> members{{{"query"}, {"parameters"}}};
  if (const Status read = read_members(body, members); !read) return malformed_body(read.error());

  std::vector<FieldError> errors;
  if (!is_given(members[query])) {
    note(errors, "query", "`query` is missing");
  } else if (members[query].kind == Kind::text && members[query].text.empty()) {
    note(errors, "query", "`query` must not be empty");
  } else {
    check_text(errors, members[query], text_bytes_max);
  }
  const auto raw = find_raw_member(body, "parameters");
  if (is_given(members[parameters]) && !(raw && body[raw->begin] == '{')) {
    note(errors, "parameters", "`parameters` must be an object");
  }
  if (!errors.empty()) return invalid_body(std::move(errors));
  return QueryRequest{.query = std::move(members[query].text), .stream = asks_to_stream(body)};
}

// ---- Frames of /ws ----

std::string_view EventName::text() const noexcept {
  const EventRow& row = kEvents[static_cast<std::size_t>(event)];
  return upper ? row.upper : row.lower;
}

std::variant<ClientFrame, BadFrame> parse_frame(std::string_view text) {
  ClientFrame frame;
  std::string_view envelope = text;
  std::string without_data;
  if (const auto data = find_raw_member(text, "data"); data && data->bytes > 0) {
    // Only the rest is parsed here; the data is, by who knows what it should be.
    frame.data_begin = data->begin;
    frame.data_bytes = data->bytes;
    without_data.reserve(text.size() - data->bytes + 4);
    without_data += text.substr(0, data->begin);
    without_data += "null";
    without_data += text.substr(data->begin + data->bytes);
    envelope = without_data;
    if (text.substr(data->begin, data->bytes) == "null") frame.data_bytes = 0;
  }
  std::array<Member, 1> members{{{"event"}}};
  if (const Status read = read_members(envelope, members); !read) {
    return BadFrame{{},
                    {.status = 400, .detail = "the frame cannot be read: " + read.error().detail}};
  }
  const Member& event = members[0];
  constexpr std::string_view kNames = "ON_AUTH, ON_INIT, ON_QUERY, ON_STORE, ON_CLOSE";
  if (event.kind != Kind::text) {
    return BadFrame{
        {}, {.status = 400, .detail = fmt::format("`event` must be a string, one of {}", kNames)}};
  }
  for (const EventRow& row : kEvents) {
    if (event.text != row.upper && event.text != row.lower) continue;
    frame.name = {row.event, event.text == row.upper};
    return frame;
  }
  const std::string name = excerpt(event.text);
  return BadFrame{name,
                  {.status = 400,
                   .detail = fmt::format("Invalid event: {}; one of {}, wholly in upper or in "
                                         "lower case, is expected",
                                         name, kNames)}};
}

// ---- What the server says ----

std::string auth_answer(const SessionId& client, Scope scope, std::string_view secret,
                        std::string_view access_token, std::chrono::seconds expires_in) {
  std::string out = "{";
  append_member(out, "session_id", client.text);
  append_member(out, "access_token", access_token);
  append_member(out, "token_type", "bearer");
  out += R"(,"expires_in":)";
  json::append_int(out, expires_in.count());
  append_member(out, "client_id", client.text);
  append_member(out, "client_secret", secret);
  append_member(out, "scope", to_string(scope));
  out += '}';
  return out;
}

std::string session_answer(const SessionId& client, Action action, const SessionRequest& request) {
  std::string out =
      stack_answer(client, action == Action::init ? "Hello! The stack is ready."
                                                  : "Goodbye! The stack session is closed.");
  std::string extras = "{";
  if (request.query) append_member(extras, "query", *request.query);
  out += extras;
  out += "}}";
  return out;
}

std::string documents_answer(const SessionId& client, const DocumentsAccepted& accepted) {
  std::string ids = "[";
  for (const std::string& id : accepted.document_ids) {
    if (ids.size() > 1) ids += ',';
    json::append_string(ids, id);
  }
  ids += ']';
  std::string out = stack_answer(client, "Files stored");
  out += '{';
  for (const std::string& tool : accepted.tools) {
    if (out.back() != '{') out += ',';
    json::append_string(out, tool);
    out += ':';
    out += ids;
  }
  out += "}}";
  return out;
}

std::string passage_answer(const PassageText& passage) {
  std::string out = "{";
  append_member(out, "id", to_string(passage.id));
  append_member(out, "document_id", passage.document_id);
  append_member(out, "name", passage.document_name);
  out += fmt::format(R"(,"span":[{},{}],"metadata":)", passage.begin, passage.end);
  out += passage.metadata.empty() ? "{}" : passage.metadata;
  append_member(out, "text", passage.text);
  out += '}';
  return out;
}

std::string answer_frame(const EventName& name, std::string_view answer) {
  std::string out;
  out.reserve(answer.size() + 40);
  out += "{";
  append_member(out, "event", name.text());
  if (name.upper) {
    out += R"(,"result":)";
    out += answer;
    out += '}';
  } else {
    out += ',';
    out += answer.substr(1);
  }
  return out;
}

std::string step_frame(const EventName& name, std::string_view step) {
  std::string out = "{";
  append_member(out, "event", name.text());
  out += ',';
  out += step.substr(1);
  return out;
}

std::string error_frame(std::optional<std::string_view> event, const Problem& problem) {
  std::string out = R"({"error":true,"event":)";
  if (event) {
    json::append_string(out, *event);
  } else {
    out += "null";
  }
  out += R"(,"status_code":)";
  json::append_int(out, problem.status);
  append_member(out, "detail", problem.detail);
  out += '}';
  return out;
}

}  // namespace parlance::dialects::kiss
