// One answer to one message, as a state machine: an input in, effects out.
// Pure: no clock, no I/O, no threads. The session actor owns it, carries the effects out in order,
// and feeds their outcomes back. The same inputs always give the same effects.
//
// A session of the platform first finds its agent (begin ──> finding_agent), which says what the
// models are told. A session with a stack first finds the tool that answers and, where that answers
// from documents, what it answers from (begin ──> deciding ──> retrieving ──> prepared ──durable──>
// calling); its models are told of no tools. A voice message is heard first (begin ──> transcribing
// ──> prepared) and its answer is spoken before the end (answered ──durable──> speaking ──> ended).
//
//   begin ──> calling ──answer with tool calls──> planned ──durable──> acting ──results──> acted
//             │  ^                                                                           │
//             │  └────────────────────────────durable────────────────────────────────────────┘
//             └──answer without tool calls──> ended <──limit, failure, cancel── any state
//
// A planning step is durable before its tools run (the intent before the effect); its action step
// is recorded when they have ended (the outcome after), and shown before the model writes again.
// After a crash the steps found in the log are given to the constructor, and `begin` goes on from
// there.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "agent/options.h"
#include "agent/stack.h"
#include "agent/toolbox.h"
#include "schemas/event.h"
#include "schemas/model_call.h"
#include "schemas/platform.h"

namespace parlance::agent {

// ---- Inputs ----

/// The model wrote more text.
struct TextArrived {
  std::string text;
};
/// The model's answer is whole.
struct AnswerArrived {
  ModelAnswer answer;
};
/// The model call failed for good, possibly in mid-answer.
struct CallFailed {
  Errc code = Errc::unavailable;
  std::string detail;
  bool retryable = false;
};
/// The step of the last Record with `step` is on disk and shown.
struct StepDurable {};
struct ToolsEnded {
  std::vector<ToolResult> results;
};
/// The user wants it to stop.
struct CancelAsked {};
/// The run took longer than Options::run_timeout.
struct TimeUp {};
/// A further message for this run, to be heard at its next model call.
struct SteerArrived {
  MessageId message_id;
  std::string text;
};

/// What a Retrieve found, best first.
struct PassagesFound {
  std::vector<FoundPassage> passages;
  std::string embeddings;  ///< What embedded the query, in words.
  bool relevant = false;   ///< The best of them fits the query.
};
struct RetrievalFailed {
  Errc code = Errc::unavailable;
  std::string detail;
};

/// What a FindAgent came to.
struct AgentFound {
  AgentSettings agent;
};
struct AgentNotFound {
  Errc code = Errc::not_found;
  std::string detail;
};

/// What a Transcribe came to, where it heard anything.
struct Transcribed {
  std::string text;  ///< Empty: there are no words in it.
  std::string engine;
};
/// A Speak has ended; the recording is kept.
struct Spoken {
  Audio audio;
  std::string engine;
};
/// A Transcribe or a Speak failed for good.
struct SpeechFailed {
  Errc code = Errc::unavailable;
  std::string detail;
};

using Input = std::variant<TextArrived, AnswerArrived, CallFailed, StepDurable, ToolsEnded,
                           CancelAsked, TimeUp, SteerArrived, PassagesFound, RetrievalFailed,
                           AgentFound, AgentNotFound, Transcribed, Spoken, SpeechFailed>;

// ---- Effects ----

struct CallModel {
  std::shared_ptr<const ModelRequest> request;
};
/// End the call in flight; nothing more is heard of it.
struct AbandonCall {};
/// Run these, each checked already; answer with ToolsEnded, in any order.
struct RunTools {
  int step = 0;  ///< Which planning step of the run, from 1.
  std::vector<ToolCall> calls;
};
/// Nothing more is wanted of the tools.
struct AbandonTools {};
/// Search the session's documents; answer with PassagesFound or RetrievalFailed.
struct Retrieve {
  std::size_t tool = 0;  ///< Index in the stack.
  std::string query;
};
/// Hear what is said in a recording; answer with Transcribed or SpeechFailed.
struct Transcribe {
  Audio audio;
  std::string language;  ///< A tag, or empty.
};
/// Speak the answer; answer with Spoken or SpeechFailed.
struct Speak {
  std::string text;
  std::string voice;  ///< Empty: the provider's.
};
/// End the Transcribe or Speak in progress; nothing more is heard of it.
struct AbandonSpeech {};
/// Look up the session's agent; answer with AgentFound or AgentNotFound.
struct FindAgent {};
/// Make these durable as one unit, then show them. When `step`, answer with StepDurable.
struct Record {
  std::vector<Event> events;
  bool step = false;
};
/// Tell the watchers at once.
struct Show {
  PassingEvent event;
};

using Effect = std::variant<CallModel, AbandonCall, RunTools, AbandonTools, Retrieve, FindAgent,
                            Transcribe, Speak, AbandonSpeech, Record, Show>;
using Effects = std::vector<Effect>;

/// What the model is told of calls that did not end within Options::tool_timeout.
std::vector<ToolResult> results_of_late(const std::vector<ToolCall>& calls);

class Turn {
 public:
  struct Start {
    MessageId message_id;
    std::string text;
    std::vector<ChatMessage> history;  ///< Of earlier messages.
    std::vector<StepRecorded> steps;   ///< Of this run, recorded before a crash.
    std::string text_shown;            ///< Of a call that a crash ended; clients may hold it.
    const Stack* stack = nullptr;      ///< What answers, in a client's session; outlives the turn.
    bool of_agent = false;             ///< An agent answers, in a session of the platform.
    std::shared_ptr<const VoiceInput> voice = {};  ///< Null: it was written.
  };

  /// `options` and `toolbox` must outlive the turn.
  Turn(Start start, const Options& options, const Toolbox& toolbox);

  /// The first effects. Call once.
  Effects begin();
  Effects step(Input input);

  bool ended() const noexcept { return state_ == State::ended; }
  /// The text the model has written in the call in flight.
  const std::string& text() const noexcept { return text_; }
  const MessageId& message_id() const noexcept { return message_id_; }
  /// The messages whose terminal event this turn records: its own, and those steered into it.
  const std::vector<MessageId>& heard() const noexcept { return heard_; }
  /// Takes back a steered message that no model call has heard yet. False when there is none.
  bool withdraw(const MessageId& id);
  /// Steered messages that the run ended without hearing.
  std::vector<SteerArrived> take_unheard();
  /// What this run adds to the conversation; complete once it has ended.
  std::vector<ChatMessage> exchange() const;

 private:
  enum class State : unsigned char {
    begun,
    finding_agent,
    transcribing,
    deciding,
    retrieving,
    prepared,
    calling,
    planned,
    acting,
    acted,
    answered,
    speaking,
    ended
  };

  const std::string& query() const { return conversation_[history_size_].text; }
  void go_on(Effects& out);
  void find_tool(Effects& out);
  void ask_for_tool(const std::string* refused, Effects& out);
  void take_decision(const ModelAnswer& answer, Effects& out);
  void choose(std::size_t tool, std::string_view why, Effects& out);
  void retrieve(std::size_t tool, Effects& out);
  void take_passages(PassagesFound found, Effects& out);
  void record_choice(std::string_view why, Effects& out);
  std::shared_ptr<ModelRequest> new_request() const;
  void call_model(Effects& out);
  void plan(ModelAnswer answer, Effects& out);
  bool may_call(const ToolCall& call) const;
  void act(std::vector<ToolCall> calls, Effects& out);
  void finish_tools(std::vector<ToolResult> results, Effects& out);
  void answer(ModelAnswer answer, Effects& out);
  void take_transcript(Transcribed heard, Effects& out);
  void record_answer(std::string text, Effects& out);
  void speak(Effects& out);
  void finish_speech(Spoken spoken, Effects& out);
  void retry_or_fail(const CallFailed& failure, Effects& out);
  void fail(Errc code, const std::string& why, Effects& out);
  void stop_work(Effects& out);
  void end(std::vector<Event> events, Effects& out);
  void count(const ModelAnswer& answer);
  void keep_partial(std::vector<Event>& events);

  MessageId message_id_;
  const Options& options_;
  const Toolbox& toolbox_;
  State state_ = State::begun;
  std::string text_shown_;  ///< Before a crash; kept until the model writes again.
  int calls_made_ = 0;
  int plans_made_ = 0;
  int restarts_ = 0;
  std::size_t history_size_;
  std::vector<ChatMessage> conversation_;
  std::vector<ToolCall> resumed_calls_;
  std::vector<ToolCall> planned_calls_;
  std::vector<ToolResult> refused_;  ///< Results of calls that were not run.
  std::string text_;
  ModelUsage usage_;
  std::vector<MessageId> heard_;
  std::vector<SteerArrived> steered_;

  // With a stack.
  const Stack* stack_;
  std::optional<std::size_t> tool_;  ///< The one that answers.
  std::string why_;                  ///< It was picked.
  bool choice_recorded_ = false;     ///< Before a crash.
  bool repaired_ = false;            ///< The decision maker was asked a second time.
  PassagesFound found_;

  // Of a voice message.
  std::shared_ptr<const VoiceInput> voice_;
  std::string answer_;  ///< To be spoken.

  // In a session of the platform.
  bool of_agent_;
  std::optional<AgentSettings> agent_;
};

}  // namespace parlance::agent
