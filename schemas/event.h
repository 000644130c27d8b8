// Everything a session may tell. Recorded events have a place in the log and are told after they
// are durable; passing events are told at once and are lost with the process.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "schemas/audio.h"
#include "schemas/client.h"
#include "schemas/command.h"
#include "schemas/ids.h"
#include "schemas/model_call.h"

namespace parlance {

// ---- Recorded events ----

/// The user's message is in the log. Its run is unfinished until RunEnded or RunFailed follows.
struct MessageAccepted {
  MessageId message_id;
  std::string text;  ///< Of a voice message: empty, or what was heard at an earlier run.
  OnBusy on_busy = OnBusy::queue;
  MessageId retry_of = {};  ///< The message that this one runs again; empty: none.
  std::shared_ptr<const VoiceInput> voice = {};  ///< Null: it was written.
};

enum class StepType : std::uint8_t {
  planning = 0,        ///< What the model wants to do; carries the tool calls it asked for.
  action = 1,          ///< What the tools answered.
  final_answer = 2,    ///< The answer.
  partial_answer = 3,  ///< Text of an answer that was cancelled or failed before its end.
  transcript = 4,      ///< What was heard in a voice message: its text.
  audio = 5,           ///< The answer was spoken; the text says how.
};

/// "PlanningStep", "ActionStep", "FinalAnswerStep", "PartialAnswerStep", "TranscriptStep",
/// "AudioStep": the wire's step_type.
const char* to_string(StepType type) noexcept;

/// One step of a run. A planning step is the recorded intent of its tool calls; the action step
/// that follows is their outcome.
struct StepRecorded {
  MessageId message_id;
  StepType type = StepType::final_answer;
  std::string text;
  std::vector<ToolCall> tool_calls;      ///< Planning steps only.
  std::vector<ToolResult> tool_results;  ///< Action steps only.
  std::string engine = {};               ///< What heard or spoke; of transcript and audio only.
  Audio audio = {};                      ///< Audio steps only.
};

enum class RunOutcome : std::uint8_t { completed = 0, cancelled = 1 };

struct RunEnded {
  MessageId message_id;
  RunOutcome outcome = RunOutcome::completed;
  ModelUsage usage;
};

struct RunFailed {
  MessageId message_id;
  std::string error;  ///< A sentence for people.
  Errc code = Errc::internal;
  ModelUsage usage;
};

/// The client's session went on in its life. Belongs to no message.
struct LifecycleChanged {
  LifecycleState state = LifecycleState::authorized;
};

/// A set of documents is there. Belongs to no message.
struct DocumentsStored {
  std::uint64_t set = 0;
  std::string digest;  ///< Of the request, for repeats of its key.
  std::vector<std::string> tools;
  std::vector<std::string> document_ids;
};

using Event = std::variant<MessageAccepted, StepRecorded, RunEnded, RunFailed, LifecycleChanged,
                           DocumentsStored>;

/// The message an event belongs to; an empty id for those that belong to none.
const MessageId& message_of(const Event& event);

/// True for the event that ends its message: RunEnded and RunFailed.
bool is_terminal(const Event& event) noexcept;

/// An event with its place and time.
struct RecordedEvent {
  Cursor cursor;
  WallTime time;
  Event event;
};

// ---- Passing events ----

struct TextDelta {
  MessageId message_id;
  std::string text;  ///< Valid UTF-8; never ends inside a code point.
};

/// The text shown so far for this message is void: a model call was started anew.
struct TextReset {
  MessageId message_id;
};

/// The text so far, for one who attaches in the middle.
struct TextSnapshot {
  MessageId message_id;
  std::string text;
};

/// A run could not go on and nothing could be recorded about it (the store refuses writes).
/// The run stays unfinished in the log and is continued after a restart.
struct RunStalled {
  MessageId message_id;
  std::string error;
};

using PassingEvent = std::variant<TextDelta, TextReset, RunStalled>;

}  // namespace parlance
