#include "dialects/step_stream.h"

#include <algorithm>
#include <array>
#include <iterator>

#include <fmt/format.h>

#include "base/json.h"
#include "dialects/members.h"

namespace parlance::dialects::step_stream {
namespace {

using Kind = Member::Kind;

// ---- Checks shared by frames and bodies. Each returns what is wrong, or nothing. ----

std::optional<std::string> problem_with_text(const Member& member, std::size_t bytes_max) {
  if (member.kind == Kind::absent) return fmt::format("`{}` is missing", member.name);
  if (member.kind != Kind::text) return fmt::format("`{}` must be a string", member.name);
  if (member.text.empty()) return fmt::format("`{}` must not be empty", member.name);
  if (member.text.size() > bytes_max) {
    return fmt::format("`{}` has {} bytes; at most {} are allowed", member.name, member.text.size(),
                       bytes_max);
  }
  return std::nullopt;
}

std::optional<std::string> problem_with_message_id(const Member& member) {
  if (member.kind == Kind::absent) return "`message_id` is missing";
  if (member.kind != Kind::text) return "`message_id` must be a string";
  if (valid_message_id(member.text)) return std::nullopt;
  return fmt::format("`message_id` must have 1 to {} bytes and no control characters",
                     kMessageIdBytesMax);
}

/// Sets `out` from an optional member.
std::optional<std::string> problem_with_on_busy(const Member& member, OnBusy& out) {
  constexpr std::pair<std::string_view, OnBusy> kNames[] = {{"queue", OnBusy::queue},
                                                            {"reject", OnBusy::reject},
                                                            {"interrupt", OnBusy::interrupt},
                                                            {"steer", OnBusy::steer}};
  if (member.kind == Kind::absent || member.kind == Kind::null) return std::nullopt;
  if (member.kind == Kind::text) {
    for (const auto& [name, value] : kNames) {
      if (name != member.text) continue;
      out = value;
      return std::nullopt;
    }
  }
  return "`on_busy` must be one of queue, reject, interrupt, steer";
}

/// At most 64 bytes of `text`, cut between characters, to quote what a client sent.
std::string_view excerpt(std::string_view text) {
  if (text.size() <= 64) return text;
  std::size_t end = 64;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return text.substr(0, end);
}

void note(std::vector<FieldError>& errors, std::string_view name,
          std::optional<std::string> problem) {
  if (problem) errors.push_back({fmt::format("/{}", name), std::move(*problem)});
}

// ---- Writing. ----

/// `chat_id` holds no character that JSON escapes (valid_session_id).
void append_chat_id(std::string& out, std::string_view chat_id) {
  out += R"(,"chat_id":")";
  out += chat_id;
  out += '"';
}

void append_message_id(std::string& out, const MessageId& id) {
  out += R"(,"message_id":)";
  json::append_string(out, id.text);
}

void append_place(std::string& out, const Cursor& cursor) {
  fmt::format_to(std::back_inserter(out), R"(,"seq":{},"cursor":"{}-{}")", cursor.seq, cursor.epoch,
                 cursor.seq);
}

void append_timestamp(std::string& out, WallTime time) {
  out += R"(,"timestamp":")";
  out += to_rfc3339(time);
  out += '"';
}

void append_usage(std::string& out, const ModelUsage& usage) {
  if (usage == ModelUsage{}) return;
  out += R"(,"usage":{"prompt_tokens":)";
  json::append_int(out, static_cast<std::int64_t>(usage.tokens_in));
  out += R"(,"completion_tokens":)";
  json::append_int(out, static_cast<std::int64_t>(usage.tokens_out));
  out += R"(,"total_tokens":)";
  json::append_int(out, static_cast<std::int64_t>(usage.tokens_in + usage.tokens_out));
  out += '}';
}

struct RecordedWriter {
  std::string& out;
  std::string_view chat_id;
  const RecordedEvent& event;

  void operator()(const MessageAccepted& accepted) const {
    out += R"({"type":"client_message","message":)";
    json::append_string(out, accepted.text);
    append_message_id(out, accepted.message_id);
    append_chat_id(out, chat_id);
    append_place(out, event.cursor);
    append_timestamp(out, event.time);
  }
  void operator()(const StepRecorded& step) const {
    out += R"({"type":"agent_step","step_type":")";
    out += to_string(step.type);
    out += R"(","message":)";
    json::append_string(out, step.text);
    append_message_id(out, step.message_id);
    append_chat_id(out, chat_id);
    append_place(out, event.cursor);
    append_timestamp(out, event.time);
  }
  void operator()(const RunEnded& ended) const {
    out += R"({"type":"message_end")";
    append_message_id(out, ended.message_id);
    append_chat_id(out, chat_id);
    append_place(out, event.cursor);
    out += R"(,"status":")";
    out += ended.outcome == RunOutcome::completed ? "completed" : "cancelled";
    out += '"';
    append_usage(out, ended.usage);
  }
  void operator()(const RunFailed& failed) const {
    out += R"({"type":"agent_error","error":)";
    json::append_string(out, failed.error);
    append_chat_id(out, chat_id);
    append_message_id(out, failed.message_id);
    append_place(out, event.cursor);
  }
  // Of the session and no message: shown() keeps them from here.
  void operator()(const LifecycleChanged& /*changed*/) const { out += '{'; }
  void operator()(const DocumentsStored& /*stored*/) const { out += '{'; }
};

bool of_message(const Event& event) noexcept {
  return !std::holds_alternative<LifecycleChanged>(event) &&
         !std::holds_alternative<DocumentsStored>(event);
}

/// Role, content and step type of one entry of the history; nothing for the end of a run.
struct Entry {
  std::string_view role, content, step_type;
};
std::optional<Entry> entry_of(const Event& event) {
  if (const auto* accepted = std::get_if<MessageAccepted>(&event)) {
    return Entry{"user", accepted->text, {}};
  }
  if (const auto* step = std::get_if<StepRecorded>(&event)) {
    return Entry{"agent", step->text, to_string(step->type)};
  }
  if (const auto* failed = std::get_if<RunFailed>(&event)) {
    return Entry{"agent", failed->error, "ErrorStep"};
  }
  return std::nullopt;
}

}  // namespace

bool valid_message_id(std::string_view text) noexcept {
  return !text.empty() && text.size() <= kMessageIdBytesMax && json::valid_utf8(text) &&
         std::none_of(text.begin(), text.end(),
                      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

// ---- Client frames ----

ClientFrame parse_frame(std::string_view text, const Limits& limits) {
  enum { type, message, message_id, on_busy, data };
  std::array<Member, 5> members{{{"type"}, {"message"}, {"message_id"}, {"on_busy"}, {"data"}}};
  if (const Status read = read_members(text, members); !read) {
    return BadFrame{"the frame cannot be read: " + read.error().detail, {}};
  }
  constexpr std::string_view kTypes = "client, get_history, cancel, ping";
  const Member& kind = members[type];
  if (kind.kind != Kind::text) {
    return BadFrame{fmt::format("`type` must be a string, one of {}", kTypes), {}};
  }

  const auto id_problem = problem_with_message_id(members[message_id]);
  if (kind.text == "client") {
    SubmitMessage command;
    std::optional<std::string> problem = id_problem;
    if (!problem) problem = problem_with_text(members[message], limits.message_bytes_max);
    if (!problem) problem = problem_with_on_busy(members[on_busy], command.on_busy);
    if (!id_problem) command.message_id.text = std::move(members[message_id].text);
    if (problem) {
      return BadFrame{std::move(*problem),
                      id_problem ? std::nullopt : std::optional(std::move(command.message_id))};
    }
    command.text = std::move(members[message].text);
    return command;
  }
  if (kind.text == "cancel") {
    const Kind given = members[message_id].kind;
    if (given == Kind::absent || given == Kind::null) return CancelMessage{};
    if (id_problem) return BadFrame{*id_problem, {}};
    return CancelMessage{MessageId{std::move(members[message_id].text)}};
  }
  if (kind.text == "get_history") return GetHistory{};
  if (kind.text == "ping") {
    const Member& payload = members[data];
    if (payload.kind == Kind::absent || payload.kind == Kind::null) return Ping{};
    if (payload.kind != Kind::text) return BadFrame{"`data` must be a string", {}};
    if (payload.text.size() > limits.ping_bytes_max) {
      return BadFrame{fmt::format("`data` has {} bytes; at most {} are allowed",
                                  payload.text.size(), limits.ping_bytes_max),
                      {}};
    }
    return Ping{payload.text};
  }
  return BadFrame{
      fmt::format("unknown type \"{}\"; one of {} is expected", excerpt(kind.text), kTypes), {}};
}

// ---- Server frames ----

bool shown(const Event& event, bool acks) noexcept {
  return of_message(event) && (acks || !std::holds_alternative<MessageAccepted>(event));
}

void append_recorded(std::string& out, std::string_view chat_id, const RecordedEvent& event) {
  std::visit(RecordedWriter{out, chat_id, event}, event.event);
  out += '}';
}

bool needs_tokens(const PassingEvent& event) noexcept {
  return !std::holds_alternative<RunStalled>(event);
}

void append_passing(std::string& out, std::string_view chat_id, const PassingEvent& event) {
  if (const auto* delta = std::get_if<TextDelta>(&event)) {
    out += R"({"type":"agent_delta")";
    append_message_id(out, delta->message_id);
    append_chat_id(out, chat_id);
    out += R"(,"delta":)";
    json::append_string(out, delta->text);
    out += '}';
  } else if (const auto* reset = std::get_if<TextReset>(&event)) {
    out += R"({"type":"agent_reset")";
    append_message_id(out, reset->message_id);
    append_chat_id(out, chat_id);
    out += '}';
  } else {
    const auto& stalled = std::get<RunStalled>(event);
    append_error(out, chat_id, stalled.error, stalled.message_id);
  }
}

void append_snapshot(std::string& out, std::string_view chat_id, const TextSnapshot& snapshot) {
  out += R"({"type":"agent_snapshot")";
  append_message_id(out, snapshot.message_id);
  append_chat_id(out, chat_id);
  out += R"(,"text":)";
  json::append_string(out, snapshot.text);
  out += '}';
}

void append_resumed(std::string& out, const Cursor& from, const Cursor& to) {
  out += R"({"type":"resumed","from":")";
  out += to_string(from);
  out += R"(","to":")";
  out += to_string(to);
  out += R"("})";
}

void append_gap(std::string& out, std::string_view history) {
  out += R"({"type":"gap","history":)";
  out += history;
  out += '}';
}

void append_history_frame(std::string& out, std::string_view chat_id, std::string_view history) {
  out += R"({"type":"history")";
  append_chat_id(out, chat_id);
  out += R"(,"history":)";
  out += history;
  out += '}';
}

void append_error(std::string& out, std::string_view chat_id, std::string_view error,
                  const std::optional<MessageId>& message_id) {
  out += R"({"type":"agent_error","error":)";
  json::append_string(out, error);
  append_chat_id(out, chat_id);
  if (message_id) append_message_id(out, *message_id);
  out += '}';
}

void append_pong(std::string& out, std::string_view chat_id,
                 const std::optional<std::string>& data) {
  out += R"({"type":"pong")";
  append_chat_id(out, chat_id);
  if (data) {
    out += R"(,"data":)";
    json::append_string(out, *data);
  }
  out += '}';
}

bool in_history(const Event& event) noexcept {
  return of_message(event) && !std::holds_alternative<RunEnded>(event);
}

std::size_t append_history(std::string& out, std::span<const RecordedEvent> events) {
  std::size_t count = 0;
  for (const RecordedEvent& event : events) {
    const std::optional<Entry> entry = entry_of(event.event);
    if (!entry) continue;
    if (count++ > 0) out += ',';
    out += R"({"role":")";
    out += entry->role;
    out += R"(","content":)";
    json::append_string(out, entry->content);
    out += R"(,"step_type":)";
    if (entry->step_type.empty()) {
      out += "null";
    } else {
      json::append_string(out, entry->step_type);
    }
    out += R"(,"timestamp":")";
    out += to_history_time(event.time);
    out += '"';
    append_message_id(out, message_of(event.event));
    out += R"(,"seq":)";
    json::append_int(out, static_cast<std::int64_t>(event.cursor.seq));
    out += '}';
  }
  return count;
}

// ---- Bodies ----

std::variant<SubmitMessage, Problem> parse_submit_body(std::string_view body,
                                                       const Limits& limits) {
  enum { message, message_id, on_busy };
  std::array<Member, 3> members{{{"message"}, {"message_id"}, {"on_busy"}}};
  if (const Status read = read_members(body, members); !read) return malformed_body(read.error());

  SubmitMessage command;
  std::vector<FieldError> errors;
  note(errors, "message", problem_with_text(members[message], limits.message_bytes_max));
  const Kind id = members[message_id].kind;
  if (id != Kind::absent && id != Kind::null) {
    note(errors, "message_id", problem_with_message_id(members[message_id]));
  }
  note(errors, "on_busy", problem_with_on_busy(members[on_busy], command.on_busy));
  if (!errors.empty()) return invalid_body(std::move(errors));
  command.text = std::move(members[message].text);
  if (id == Kind::text) command.message_id.text = std::move(members[message_id].text);
  return command;
}

std::variant<CancelMessage, Problem> parse_cancel_body(std::string_view body) {
  if (body.empty()) return CancelMessage{};
  std::array<Member, 1> members{{{"message_id"}}};
  if (const Status read = read_members(body, members); !read) return malformed_body(read.error());

  Member& id = members[0];
  if (id.kind == Kind::absent || id.kind == Kind::null) return CancelMessage{};
  std::vector<FieldError> errors;
  note(errors, "message_id", problem_with_message_id(id));
  if (!errors.empty()) return invalid_body(std::move(errors));
  return CancelMessage{MessageId{std::move(id.text)}};
}

std::variant<std::string, Problem> parse_run_body(std::string_view body, const Limits& limits) {
  enum { task, chat_id };
  std::array<Member, 2> members{{{"task"}, {"chat_id"}}};
  if (const Status read = read_members(body, members); !read) return malformed_body(read.error());

  std::vector<FieldError> errors;
  note(errors, "task", problem_with_text(members[task], limits.message_bytes_max));
  if (members[chat_id].kind == Kind::other) {
    note(errors, "chat_id", "`chat_id` must be a string");
  } else if (members[chat_id].kind == Kind::text && !valid_session_id(members[chat_id].text)) {
    note(errors, "chat_id",
         "`chat_id` must be 1 to 128 of A-Z a-z 0-9 . _ ~ - and neither . nor ..");
  }
  if (!errors.empty()) return invalid_body(std::move(errors));
  return std::move(members[task].text);
}

std::string accepted_body(std::string_view chat_id, const SubmitAccepted& accepted,
                          std::string_view status) {
  std::string out = R"({"message_id":)";
  json::append_string(out, accepted.message_id.text);
  append_chat_id(out, chat_id);
  append_place(out, accepted.cursor);
  out += R"(,"status":")";
  out += status;
  out += R"("})";
  return out;
}

void append_run_step(std::string& out, StepType type, std::string_view text) {
  out += R"({"step_type":")";
  out += to_string(type);
  out += R"(","content":)";
  json::append_string(out, text);
  out += '}';
}

}  // namespace parlance::dialects::step_stream
