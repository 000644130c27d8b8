// Messages of the agent platform, read out of a session's log: what the user said and what was
// answered, each once. Pure; a reader is for one answer, on any one thread, and takes the events of
// one session in the order of its log.
//
// A message of the user has the id that it was accepted with where that is a UUID, and else one
// derived from its place in the log; an answer always has a derived one. A message that runs
// another again is none of its own: it goes on with that other one.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "dialects/problem.h"
#include "schemas/command.h"
#include "schemas/event.h"
#include "schemas/ids.h"
#include "schemas/model_call.h"

namespace parlance::dialects::platform {

inline constexpr std::size_t kConversationLimit = 200;
inline constexpr std::size_t kConversationLimitMax = 1'000;

enum class MessageStatus : std::uint8_t { pending, completed, failed, cancelled };

struct Message {
  std::string id;
  Role role = Role::user;  ///< Or assistant.
  std::string content;
  MessageStatus status = MessageStatus::pending;
  std::string error;     ///< Of a failed one: a sentence for people.
  std::string reply_to;  ///< Of an answer: the user's message.
  std::string_view language;
  bool voice = false;  ///< It was, or is to be, spoken; without a transcript the content is empty.
  Audio audio = {};
  std::string engine = {};  ///< What heard or spoke the recording.
  std::optional<ModelUsage> usage;
  WallTime created_at;
  WallTime updated_at;
};

std::string message_json(const SessionId& session, const Message& message);

/// The user's message that `accepted`, a MessageAccepted that runs none again, records.
Message user_message(const SessionId& session, const RecordedEvent& accepted);

// ---- The whole conversation, in pages ----

/// Where a page begins: messages behind `told_through`, found by reading the log behind
/// `read_after`, which is before the first event that matters for them.
struct ConversationPlace {
  EventSeq read_after = 0;
  EventSeq told_through = 0;
};

struct ConversationRange {
  std::size_t limit = kConversationLimit;
  ConversationPlace from;
};
/// Of `?limit=` and `?cursor=`.
std::variant<ConversationRange, Problem> parse_conversation_range(
    std::optional<std::string_view> limit, std::optional<std::string_view> cursor);

class ConversationReader {
 public:
  /// Ends the page at `bytes_max` of text, too.
  ConversationReader(SessionId session, ConversationRange range, std::size_t bytes_max);

  void add(const RecordedEvent& event);
  /// Nothing that follows in the log can change the page.
  bool done() const noexcept;
  /// An event was about something before range.from: only a reader from the log's beginning can
  /// tell this page.
  bool lacks_beginning() const noexcept { return lacks_beginning_; }
  /// The text it holds.
  std::size_t bytes() const noexcept { return bytes_; }

  /// {"items": [...], "next_cursor"}, oldest first. Reading has come to the log's end, or is done.
  std::string page() const;

 private:
  /// A run that has not ended.
  struct Run {
    EventSeq accepted = 0;
    MessageId root;                     ///< The user's message in the log.
    std::string user_id;                ///< The same as the platform names it.
    std::optional<std::size_t> user;    ///< Its place in items_.
    std::optional<std::size_t> answer;  ///< Likewise.
    /// What an earlier run of the message had answered: told until there is an answer of this one.
    std::optional<std::size_t> superseded;
    bool voice = false;
  };
  /// A message of the user that failed or was cancelled, and may be run again.
  struct Retryable {
    std::string user_id;
    std::optional<std::size_t> user;
    std::optional<std::size_t> answer;
  };

  void accept(const RecordedEvent& event, const MessageAccepted& accepted);
  void join(Run& run, const MessageAccepted& accepted);
  void take_answer(const RecordedEvent& event, const StepRecorded& step);
  void take_voice(const RecordedEvent& event, const StepRecorded& step);
  void end(const RecordedEvent& event, const MessageId& message, MessageStatus status,
           const std::string& error, const ModelUsage& usage);
  std::optional<std::size_t> take(EventSeq seq, Message message);

  const SessionId session_;
  const ConversationRange range_;
  const std::size_t bytes_max_;
  std::vector<Message> items_;
  std::vector<bool> superseded_;  ///< Of each item: it is not told.
  std::unordered_map<MessageId, Run> runs_;
  std::unordered_map<MessageId, Retryable> retryable_;
  std::size_t bytes_ = 0;
  EventSeq last_taken_ = 0;
  std::optional<ConversationPlace> next_;
  bool lacks_beginning_ = false;
};

// ---- One run ----

class RunReader {
 public:
  /// The run of `message`. `answers` is the message of the user that it answers; empty: itself.
  RunReader(SessionId session, MessageId message, std::string answers);

  /// True once the run's end was taken.
  bool add(const RecordedEvent& event);
  bool ended() const noexcept { return ended_; }
  /// The run's end was taken, and it was cancelled.
  bool cancelled() const noexcept { return cancelled_; }
  /// The user's message; empty until its event was taken.
  const std::string& answers() const noexcept { return answers_; }

  /// Adds what the run made of the user's message: its transcript, and that it is answered.
  void complete(Message& user) const;
  /// The assistant's message, or why there is none. Without an end: the session was deleted.
  std::variant<Message, Problem> answer() const;

 private:
  void take(const RecordedEvent& event, const StepRecorded& step);

  const SessionId session_;
  const MessageId message_;
  std::string answers_;
  std::optional<Message> answer_;
  std::optional<StepRecorded> transcript_;
  std::optional<Problem> problem_;
  WallTime ended_at_{};
  bool voice_ = false;
  bool ended_ = false;
  bool cancelled_ = false;
};

Problem session_was_deleted();

// ---- Running a message again ----

/// What is to be submitted, and the user's message as it is from then on.
struct Retry {
  SubmitMessage command;
  Message user;
};

/// Reads the whole log for what became of one message.
class RetryReader {
 public:
  RetryReader(SessionId session, std::string id, std::string idempotency_key);

  void add(const RecordedEvent& event);

  /// Only a message of the user that failed or was cancelled is run again. The command's id follows
  /// from the run that failed, or from the key, so that a repeated retry joins the first.
  std::variant<Retry, Problem> result() const;

 private:
  void accept(const RecordedEvent& event, const MessageAccepted& accepted);

  const SessionId session_;
  const std::string id_;
  const std::string key_;
  std::optional<Message> user_;
  std::shared_ptr<const VoiceInput> voice_;
  std::string answer_;      ///< Of a voice message: to be spoken yet.
  MessageId root_;          ///< The user's message in the log.
  MessageId latest_;        ///< Its latest run.
  MessageId keyed_;         ///< What the run of this key is called.
  MessageId next_;          ///< What the next run without a key is called.
  bool key_known_ = false;  ///< The key's run is in the log.
  bool is_answer_ = false;  ///< The id is of an answer.
};

}  // namespace parlance::dialects::platform
