#include "dialects/platform_messages.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include <fmt/format.h>

#include "base/json.h"
#include "base/uuid.h"
#include "dialects/language.h"
#include "dialects/platform.h"

namespace parlance::dialects::platform {
namespace {

/// Failed messages that one reader remembers; answers to others name the run that they are of.
constexpr std::size_t kRetryableMax = 10'000;

std::string_view to_string(MessageStatus status) {
  switch (status) {
    case MessageStatus::pending:
      return "pending";
    case MessageStatus::completed:
      return "completed";
    case MessageStatus::failed:
      return "failed";
    case MessageStatus::cancelled:
      break;
  }
  return "cancelled";
}

std::string derived_id(const SessionId& session, const RecordedEvent& event) {
  return derived_uuid7(event.time, session.text, event.cursor.seq);
}

std::string id_of(const SessionId& session, const RecordedEvent& event, const MessageId& message) {
  return is_uuid(message.text) ? message.text : derived_id(session, event);
}

bool is_answer(const StepRecorded& step) {
  return step.type == StepType::final_answer || step.type == StepType::partial_answer;
}

MessageStatus status_of(RunOutcome outcome) {
  return outcome == RunOutcome::completed ? MessageStatus::completed : MessageStatus::cancelled;
}

bool has_failed(MessageStatus status) {
  return status == MessageStatus::failed || status == MessageStatus::cancelled;
}

Message answer_message(const SessionId& session, const RecordedEvent& event,
                       const StepRecorded& step, std::string reply_to) {
  return {.id = derived_id(session, event),
          .role = Role::assistant,
          .content = step.text,
          .error = {},
          .reply_to = std::move(reply_to),
          .language = language_of(step.text),
          .usage = {},
          .created_at = event.time,
          .updated_at = event.time};
}

void set_usage(Message& message, const ModelUsage& usage) {
  if (usage != ModelUsage{}) message.usage = usage;
}

void add_transcript(Message& user, const StepRecorded& transcript) {
  user.content = transcript.text;
  user.language = language_of(transcript.text);
  user.engine = transcript.engine;
}

void append_member(std::string& out, std::string_view name, std::string_view text) {
  out += fmt::format(",\"{}\":", name);
  if (text.empty()) {
    out += "null";
  } else {
    json::append_string(out, text);
  }
}

void append_audio(std::string& out, const SessionId& session, const Message& message) {
  const Audio& audio = message.audio;
  if (audio.name.empty()) {
    out += "null";
    return;
  }
  out += fmt::format(
      R"({{"href":"/api/v1/message/{}/audio?session_id={}","type":"{}","bytes":{},"duration_ms":)",
      audio.name, session.text, audio.type, audio.bytes);
  out += audio.duration.count() > 0 ? std::to_string(audio.duration.count()) : "null";
  append_member(out, "engine", message.engine);
  out += '}';
}

void append_message(std::string& out, const SessionId& session, const Message& message) {
  out += R"({"id":)";
  json::append_string(out, message.id);
  append_member(out, "session_id", session.text);
  out += message.role == Role::user ? R"(,"role":"user","content":)"
                                    : R"(,"role":"assistant","content":)";
  if (message.voice && message.content.empty()) {
    out += "null";
  } else {
    json::append_string(out, message.content);
  }
  out += fmt::format(R"(,"content_type":"{}","status":"{}")", message.voice ? "voice" : "text",
                     to_string(message.status));
  append_member(out, "error", message.error);
  append_member(out, "reply_to", message.reply_to);
  append_member(out, "language", message.language);
  out += R"(,"audio":)";
  append_audio(out, session, message);
  out += R"(,"usage":)";
  if (message.usage) {
    const ModelUsage& usage = *message.usage;
    out += fmt::format(R"({{"prompt_tokens":{},"completion_tokens":{},"total_tokens":{}}})",
                       usage.tokens_in, usage.tokens_out, usage.tokens_in + usage.tokens_out);
  } else {
    out += "null";
  }
  out += fmt::format(R"(,"created_at":"{}","updated_at":"{}"}})", to_rfc3339(message.created_at),
                     to_rfc3339(message.updated_at));
}

template <class Number>
bool parse_number(std::string_view text, Number& out) {
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), out);
  return parsed.ec == std::errc{} && parsed.ptr == text.data() + text.size();
}

/// "<read_after>-<told_through>".
bool parse_place(std::string_view text, ConversationPlace& out) {
  const std::size_t dash = text.find('-');
  return dash != std::string_view::npos && parse_number(text.substr(0, dash), out.read_after) &&
         parse_number(text.substr(dash + 1), out.told_through) &&
         out.read_after <= out.told_through;
}

}  // namespace

std::string message_json(const SessionId& session, const Message& message) {
  std::string out;
  append_message(out, session, message);
  return out;
}

Message user_message(const SessionId& session, const RecordedEvent& event) {
  const auto& accepted = std::get<MessageAccepted>(event.event);
  Message message{.id = id_of(session, event, accepted.message_id),
                  .content = accepted.text,
                  .error = {},
                  .reply_to = {},
                  .language = language_of(accepted.text),
                  .usage = {},
                  .created_at = event.time,
                  .updated_at = event.time};
  if (!accepted.voice) return message;
  message.voice = true;
  message.audio = accepted.voice->audio;
  message.engine = accepted.voice->engine;
  return message;
}

// ---- The whole conversation ----

std::variant<ConversationRange, Problem> parse_conversation_range(
    std::optional<std::string_view> limit, std::optional<std::string_view> cursor) {
  ConversationRange range;
  if (limit && (!parse_number(*limit, range.limit) || range.limit == 0 ||
                range.limit > kConversationLimitMax)) {
    return Problem{
        .status = 400,
        .detail = fmt::format("`limit` must be a number from 1 to {}", kConversationLimitMax)};
  }
  if (cursor && !parse_place(*cursor, range.from)) {
    return Problem{.status = 400, .detail = "`cursor` is not one that this server gave"};
  }
  return range;
}

ConversationReader::ConversationReader(SessionId session, ConversationRange range,
                                       std::size_t bytes_max)
    : session_(std::move(session)), range_(range), bytes_max_(bytes_max) {}

void ConversationReader::add(const RecordedEvent& event) {
  if (const auto* accepted = std::get_if<MessageAccepted>(&event.event)) {
    accept(event, *accepted);
  } else if (const auto* step = std::get_if<StepRecorded>(&event.event)) {
    is_answer(*step) ? take_answer(event, *step) : take_voice(event, *step);
  } else if (const auto* ended = std::get_if<RunEnded>(&event.event)) {
    end(event, ended->message_id, status_of(ended->outcome), {}, ended->usage);
  } else if (const auto* failed = std::get_if<RunFailed>(&event.event)) {
    end(event, failed->message_id, MessageStatus::failed, failed->error, failed->usage);
  }
}

void ConversationReader::accept(const RecordedEvent& event, const MessageAccepted& accepted) {
  Run& run = runs_[accepted.message_id];
  run = {.accepted = event.cursor.seq,
         .root = accepted.message_id,
         .user_id = id_of(session_, event, accepted.message_id),
         .user = {},
         .answer = {},
         .superseded = {},
         .voice = accepted.voice != nullptr};
  if (accepted.retry_of.text.empty()) {
    if (event.cursor.seq > range_.from.told_through) {
      run.user = take(event.cursor.seq, user_message(session_, event));
    }
    return;
  }
  run.root = accepted.retry_of;
  join(run, accepted);
}

/// Has `run` go on with the message that it runs again.
void ConversationReader::join(Run& run, const MessageAccepted& accepted) {
  if (const auto failed = retryable_.find(accepted.retry_of); failed != retryable_.end()) {
    run.user_id = failed->second.user_id;
    run.user = failed->second.user;
    run.superseded = failed->second.answer;
  } else if (is_uuid(accepted.retry_of.text)) {
    run.user_id = accepted.retry_of.text;
  } else if (range_.from.read_after > 0) {
    lacks_beginning_ = true;
  }
  if (!run.user) return;
  items_[*run.user].status = MessageStatus::pending;
  items_[*run.user].error.clear();
}

void ConversationReader::take_answer(const RecordedEvent& event, const StepRecorded& step) {
  if (event.cursor.seq <= range_.from.told_through) return;
  const auto run = runs_.find(step.message_id);
  if (run == runs_.end()) {
    lacks_beginning_ = range_.from.read_after > 0;
    return;
  }
  Message answer = answer_message(session_, event, step, run->second.user_id);
  answer.voice = run->second.voice;
  run->second.answer = take(event.cursor.seq, std::move(answer));
  if (run->second.superseded) superseded_[*run->second.superseded] = true;
}

/// What was heard, or spoken.
void ConversationReader::take_voice(const RecordedEvent& event, const StepRecorded& step) {
  const auto run = runs_.find(step.message_id);
  if (run == runs_.end()) return;
  if (step.type == StepType::transcript && run->second.user) {
    Message& user = items_[*run->second.user];
    bytes_ += step.text.size();
    add_transcript(user, step);
  } else if (step.type == StepType::audio && run->second.answer) {
    Message& answer = items_[*run->second.answer];
    answer.audio = step.audio;
    answer.engine = step.engine;
    answer.updated_at = event.time;
  }
}

/// Its place in the page, where it has one.
std::optional<std::size_t> ConversationReader::take(EventSeq seq, Message message) {
  if (items_.size() >= range_.limit || (bytes_ >= bytes_max_ && !items_.empty())) {
    if (!next_) {
      // What the next page tells may be about any run that had not ended before it begins.
      EventSeq first = last_taken_ + 1;
      for (const auto& [id, run] : runs_) first = std::min(first, run.accepted);
      next_ = {first - 1, last_taken_};
    }
    return std::nullopt;
  }
  bytes_ += message.content.size();
  last_taken_ = seq;
  items_.push_back(std::move(message));
  superseded_.push_back(false);
  return items_.size() - 1;
}

void ConversationReader::end(const RecordedEvent& event, const MessageId& message,
                             MessageStatus status, const std::string& error,
                             const ModelUsage& usage) {
  const auto found = runs_.find(message);
  if (found == runs_.end()) return;
  const Run run = std::move(found->second);
  runs_.erase(found);
  if (run.user) {
    items_[*run.user].status = status;
    items_[*run.user].error = error;
    items_[*run.user].updated_at = event.time;
  }
  if (run.answer) {
    items_[*run.answer].status = status;
    items_[*run.answer].error = error;
    set_usage(items_[*run.answer], usage);
  }
  // For those that are not on the page only the name counts, which a UUID tells by itself.
  const bool counts = run.user || !is_uuid(run.root.text);
  if (has_failed(status) && counts && retryable_.size() < kRetryableMax) {
    retryable_[run.root] = {run.user_id, run.user, run.answer ? run.answer : run.superseded};
  }
}

bool ConversationReader::done() const noexcept {
  return next_ && std::all_of(items_.begin(), items_.end(), [](const Message& message) {
           return message.status == MessageStatus::completed ||
                  (message.role == Role::assistant && has_failed(message.status));
         });
}

std::string ConversationReader::page() const {
  std::string out = R"({"items":[)";
  out.reserve(bytes_ + items_.size() * 512);
  bool first = true;
  for (std::size_t i = 0; i < items_.size(); ++i) {
    if (superseded_[i]) continue;
    if (!std::exchange(first, false)) out += ',';
    append_message(out, session_, items_[i]);
  }
  out += R"(],"next_cursor":)";
  out += next_ ? fmt::format("\"{}-{}\"", next_->read_after, next_->told_through) : "null";
  out += '}';
  return out;
}

// ---- One run ----

RunReader::RunReader(SessionId session, MessageId message, std::string answers)
    : session_(std::move(session)), message_(std::move(message)), answers_(std::move(answers)) {}

bool RunReader::add(const RecordedEvent& event) {
  if (ended_ || message_of(event.event) != message_) return ended_;
  if (const auto* accepted = std::get_if<MessageAccepted>(&event.event)) {
    if (answers_.empty()) answers_ = id_of(session_, event, message_);
    voice_ = accepted->voice != nullptr;
  } else if (const auto* step = std::get_if<StepRecorded>(&event.event)) {
    take(event, *step);
  } else if (const auto* end = std::get_if<RunEnded>(&event.event)) {
    ended_ = true;
    ended_at_ = event.time;
    cancelled_ = end->outcome == RunOutcome::cancelled;
    if (answer_) {
      answer_->status = status_of(end->outcome);
      set_usage(*answer_, end->usage);
    }
  } else if (const auto* failure = std::get_if<RunFailed>(&event.event)) {
    ended_ = true;
    problem_ = problem_of_run(failure->code, failure->error);
  }
  return ended_;
}

void RunReader::take(const RecordedEvent& event, const StepRecorded& step) {
  if (is_answer(step)) {
    answer_ = answer_message(session_, event, step, answers_);
    answer_->voice = voice_;
  } else if (step.type == StepType::transcript) {
    transcript_ = step;
  } else if (step.type == StepType::audio && answer_) {
    answer_->audio = step.audio;
    answer_->engine = step.engine;
    answer_->updated_at = event.time;
  }
}

void RunReader::complete(Message& user) const {
  if (transcript_) add_transcript(user, *transcript_);
  if (!ended_ || problem_) return;
  user.status = cancelled_ ? MessageStatus::cancelled : MessageStatus::completed;
  user.updated_at = ended_at_;
}

std::variant<Message, Problem> RunReader::answer() const {
  Problem problem;
  if (problem_) {
    problem = *problem_;
  } else if (!ended_) {
    return session_was_deleted();
  } else if (cancelled_) {
    problem = to_problem({Errc::cancelled, "the message was cancelled before its answer"});
  } else if (!answer_) {
    problem = to_problem({Errc::internal, "the run ended without an answer"});
  } else {
    return *answer_;
  }
  problem.message_id = answers_;
  return problem;
}

Problem session_was_deleted() {
  return {.status = 409, .detail = "the session was deleted"};
}

// ---- Running a message again ----

RetryReader::RetryReader(SessionId session, std::string id, std::string idempotency_key)
    : session_(std::move(session)), id_(std::move(id)), key_(std::move(idempotency_key)) {}

void RetryReader::add(const RecordedEvent& event) {
  if (const auto* accepted = std::get_if<MessageAccepted>(&event.event)) {
    return accept(event, *accepted);
  }
  if (const auto* step = std::get_if<StepRecorded>(&event.event)) {
    if (!user_ && is_answer(*step)) is_answer_ = is_answer_ || derived_id(session_, event) == id_;
    if (!user_ || step->message_id != latest_) return;
    if (step->type == StepType::transcript) add_transcript(*user_, *step);
    if (step->type == StepType::final_answer) answer_ = step->text;
    return;
  }
  if (!user_ || message_of(event.event) != latest_) return;
  if (const auto* ended = std::get_if<RunEnded>(&event.event)) {
    user_->status = platform::status_of(ended->outcome);
  } else if (const auto* failed = std::get_if<RunFailed>(&event.event)) {
    user_->status = MessageStatus::failed;
    // It could not be spoken as it is: a model is asked for another one.
    if (failed->code == Errc::unprocessable) answer_.clear();
  }
  next_.text = derived_id(session_, event);
}

void RetryReader::accept(const RecordedEvent& event, const MessageAccepted& accepted) {
  if (user_) {
    if (accepted.retry_of != root_) return;
    latest_ = accepted.message_id;
    key_known_ = key_known_ || latest_ == keyed_;
    user_->status = MessageStatus::pending;
    user_->updated_at = event.time;
    return;
  }
  if (!accepted.retry_of.text.empty() || id_of(session_, event, accepted.message_id) != id_) return;
  user_ = user_message(session_, event);
  voice_ = accepted.voice;
  root_ = latest_ = accepted.message_id;
  keyed_.text =
      derived_uuid7(event.time, fmt::format("{}/{}", session_.text, key_), event.cursor.seq);
}

std::variant<Retry, Problem> RetryReader::result() const {
  if (!user_) {
    if (is_answer_) {
      return Problem{.status = 409, .detail = "only messages of the user can be run again"};
    }
    return no_such_message();
  }
  const bool repeated = !key_.empty() && key_known_;
  if (!repeated && user_->status == MessageStatus::pending) {
    return Problem{.status = 409, .detail = "the message is being answered; wait for its end"};
  }
  if (!repeated && user_->status == MessageStatus::completed) {
    return Problem{.status = 409,
                   .detail =
                       "the message was answered; only one that failed or was cancelled can "
                       "be run again"};
  }
  Retry retry{.command = {}, .user = *user_};
  retry.command.message_id = key_.empty() ? next_ : keyed_;
  retry.command.text = user_->content;
  retry.command.idempotency_key = key_;
  retry.command.retry_of = root_;
  if (voice_) {
    VoiceInput voice = *voice_;
    voice.engine = user_->engine;
    voice.answer = answer_;
    retry.command.voice = std::make_shared<const VoiceInput>(std::move(voice));
  }
  retry.user.status = MessageStatus::pending;
  return retry;
}

}  // namespace parlance::dialects::platform
