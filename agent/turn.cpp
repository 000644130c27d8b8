#include "agent/turn.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "agent/history.h"
#include "base/check.h"

namespace parlance::agent {
namespace {

/// About four bytes a token, where the provider reported nothing.
std::uint64_t estimated_tokens(std::size_t bytes) {
  return bytes / 4 + 1;
}

std::string plan_text(const ModelAnswer& answer) {
  std::string out = answer.text;
  for (const ToolCall& call : answer.tool_calls) {
    if (!out.empty()) out += '\n';
    out += fmt::format("Calling {} with {}", call.name,
                       call.arguments.empty() ? "{}" : call.arguments);
  }
  return out;
}

std::string audio_text(const Spoken& spoken) {
  const Audio& audio = spoken.audio;
  const double seconds = static_cast<double>(audio.duration.count()) / 1000.0;
  const std::string length = seconds > 0 ? fmt::format("{:.1f} s, ", seconds) : std::string();
  return fmt::format("{}, {}{} bytes, spoken by {}", audio.type, length, audio.bytes,
                     spoken.engine);
}

std::string agent_instructions(const AgentSettings& agent) {
  return agent.prompt +
         "\n\nAnswer in the language of the user's last message, unless the instructions above "
         "or the user say otherwise.";
}

Status no_such_tool(const ToolCall& call) {
  return Error{Errc::not_found, fmt::format("There is no tool named {} here.", call.name)};
}

std::string action_text(const std::vector<ToolResult>& results) {
  std::string out;
  for (const ToolResult& result : results) {
    if (!out.empty()) out += '\n';
    out += fmt::format("{}{}: {}", result.name, result.failed ? " failed" : "", result.output);
  }
  return out;
}

}  // namespace

std::vector<ToolResult> results_of_late(const std::vector<ToolCall>& calls) {
  std::vector<ToolResult> out;
  out.reserve(calls.size());
  for (const ToolCall& call : calls) {
    out.push_back({call.id, call.name, "The tool did not answer in time.", true});
  }
  return out;
}

Turn::Turn(Start start, const Options& options, const Toolbox& toolbox)
    : message_id_(start.message_id),
      options_(options),
      toolbox_(toolbox),
      text_shown_(std::move(start.text_shown)),
      conversation_(std::move(start.history)),
      heard_{std::move(start.message_id)},
      stack_(start.stack),
      voice_(std::move(start.voice)),
      of_agent_(start.of_agent) {
  history_size_ = conversation_.size();
  conversation_.push_back({Role::user, std::move(start.text), {}, ""});
  for (const StepRecorded& step : start.steps) {
    append_step(conversation_, step);
    if (is_stack_step(step)) {
      if (stack_ == nullptr || step.type != StepType::planning) continue;
      tool_ = chosen_tool(*stack_, step);
      choice_recorded_ = tool_.has_value();
      continue;
    }
    if (step.type == StepType::planning) {
      ++plans_made_;
      ++calls_made_;
      resumed_calls_ = step.tool_calls;
    } else if (step.type == StepType::action) {
      resumed_calls_.clear();
    } else if (step.type == StepType::final_answer) {
      answer_ = step.text;
    }
  }
}

Effects Turn::begin() {
  CHECK(state_ == State::begun);
  Effects out;
  if (!text_shown_.empty()) out.push_back(Show{TextReset{message_id_}});
  if (!answer_.empty()) text_shown_.clear();  // It was of the answer, which is recorded.
  if (of_agent_) {
    state_ = State::finding_agent;
    out.push_back(FindAgent{});
  } else {
    go_on(out);
  }
  return out;
}

void Turn::go_on(Effects& out) {
  if (voice_) {
    if (!answer_.empty()) return speak(out);
    if (!voice_->answer.empty()) return record_answer(voice_->answer, out);
    if (query().empty()) {
      state_ = State::transcribing;
      out.push_back(Transcribe{voice_->audio, voice_->language});
      return;
    }
  }
  if (stack_ != nullptr) return find_tool(out);
  if (resumed_calls_.empty()) return call_model(out);
  std::vector<ToolCall> repeatable;
  for (ToolCall& call : std::exchange(resumed_calls_, {})) {
    const Tool* tool = toolbox_.find(call.name);
    if (tool != nullptr && tool->after_crash() == AfterCrash::fail) {
      refused_.push_back({call.id, call.name,
                          "The call was interrupted by a restart and is not repeated; it may or "
                          "may not have had its effect.",
                          true});
    } else {
      repeatable.push_back(std::move(call));
    }
  }
  act(std::move(repeatable), out);
}

Effects Turn::step(Input input) {
  Effects out;
  if (state_ == State::ended) return out;  // The last words of work that was abandoned.
  if (auto* text = std::get_if<TextArrived>(&input)) {
    if (state_ != State::calling) return out;
    text_shown_.clear();
    text_ += text->text;
    out.push_back(Show{TextDelta{message_id_, std::move(text->text)}});
  } else if (auto* arrived = std::get_if<AnswerArrived>(&input)) {
    if (state_ == State::deciding) take_decision(arrived->answer, out);
    if (state_ != State::calling) return out;
    count(arrived->answer);
    arrived->answer.tool_calls.empty() ? answer(std::move(arrived->answer), out)
                                       : plan(std::move(arrived->answer), out);
  } else if (auto* failed = std::get_if<CallFailed>(&input)) {
    if (state_ == State::calling) retry_or_fail(*failed, out);
    if (state_ == State::deciding) fail(failed->code, failed->detail, out);
  } else if (std::holds_alternative<StepDurable>(input)) {
    if (state_ == State::planned) {
      act(std::exchange(planned_calls_, {}), out);
    } else if (state_ == State::acted || state_ == State::prepared) {
      call_model(out);
    } else if (state_ == State::answered) {
      speak(out);
    }
  } else if (auto* ended = std::get_if<ToolsEnded>(&input)) {
    if (state_ == State::acting) finish_tools(std::move(ended->results), out);
  } else if (auto* found = std::get_if<PassagesFound>(&input)) {
    if (state_ == State::retrieving) take_passages(std::move(*found), out);
  } else if (auto* lost = std::get_if<RetrievalFailed>(&input)) {
    if (state_ == State::retrieving) fail(lost->code, lost->detail, out);
  } else if (auto* agent = std::get_if<AgentFound>(&input)) {
    if (state_ != State::finding_agent) return out;
    agent_ = std::move(agent->agent);
    go_on(out);
  } else if (auto* none = std::get_if<AgentNotFound>(&input)) {
    if (state_ == State::finding_agent) fail(none->code, none->detail, out);
  } else if (auto* heard = std::get_if<Transcribed>(&input)) {
    if (state_ == State::transcribing) take_transcript(std::move(*heard), out);
  } else if (auto* spoken = std::get_if<Spoken>(&input)) {
    if (state_ == State::speaking) finish_speech(std::move(*spoken), out);
  } else if (auto* mute = std::get_if<SpeechFailed>(&input)) {
    if (state_ == State::transcribing || state_ == State::speaking) {
      const char* const what = state_ == State::speaking ? "the answer could not be spoken"
                                                         : "the recording could not be heard";
      fail(mute->code, fmt::format("{}: {}", what, mute->detail), out);
    }
  } else if (std::holds_alternative<CancelAsked>(input)) {
    stop_work(out);
    std::vector<Event> events;
    keep_partial(events);
    for (const MessageId& id : heard_) {
      events.push_back(
          RunEnded{id, RunOutcome::cancelled, id == message_id_ ? usage_ : ModelUsage{}});
    }
    end(std::move(events), out);
  } else if (std::holds_alternative<TimeUp>(input)) {
    stop_work(out);
    fail(Errc::deadline_exceeded,
         fmt::format("the run took longer than {} s", options_.run_timeout.count() / 1000), out);
  } else if (auto* steer = std::get_if<SteerArrived>(&input)) {
    steered_.push_back(std::move(*steer));
  }
  return out;
}

void Turn::call_model(Effects& out) {
  if (calls_made_ >= options_.steps_max) {
    fail(Errc::resource_exhausted,
         fmt::format("the run reached its limit of {} steps", options_.steps_max), out);
    return;
  }
  if (usage_.tokens_in + usage_.tokens_out >= options_.tokens_max) {
    fail(Errc::resource_exhausted,
         fmt::format("the run reached its limit of {} tokens", options_.tokens_max), out);
    return;
  }
  for (SteerArrived& steer : std::exchange(steered_, {})) {
    conversation_.push_back({Role::user, std::move(steer.text), {}, ""});
    heard_.push_back(std::move(steer.message_id));
  }
  ++calls_made_;
  text_.clear();
  state_ = State::calling;
  out.push_back(CallModel{new_request()});
}

std::shared_ptr<ModelRequest> Turn::new_request() const {
  auto request = std::make_shared<ModelRequest>();
  std::string instructions = options_.instructions;
  if (stack_ != nullptr) {
    const StackTool& tool = stack_->tools[*tool_];
    const bool from_documents = tool.kind == StackTool::Kind::rag;
    instructions = tool_instructions(tool, from_documents && found_.passages.empty());
    request->provider = tool.provider;
    for (const FoundPassage& each : found_.passages) {
      request->passages.push_back(
          {to_string(each.passage.id), each.passage.document_name, each.passage.text});
    }
  } else if (agent_) {
    instructions = agent_instructions(*agent_);
    request->model = agent_->model.value_or("");
    request->temperature = agent_->temperature;
    if (!agent_->tools.empty()) request->tools = toolbox_.declarations(agent_->tools);
  } else if (options_.tools) {
    request->tools = toolbox_.declarations();
  }
  request->messages.reserve(conversation_.size() + 1);
  request->messages.push_back({Role::system, std::move(instructions), {}, ""});
  request->messages.insert(request->messages.end(), conversation_.begin(), conversation_.end());
  request->answer_tokens_max = options_.answer_tokens_max;
  return request;
}

// ---- With a stack ----

void Turn::find_tool(Effects& out) {
  if (choice_recorded_) {
    choose(*tool_, {}, out);
  } else if (stack_->tools.size() == 1) {
    choose(0, "it is the only tool", out);
  } else if (stack_->decides_by_model) {
    ask_for_tool(nullptr, out);
  } else if (const auto rag = first_rag_tool(*stack_)) {
    retrieve(*rag, out);  // What is found decides.
  } else {
    choose(fallback_tool(*stack_), "there are no tools with documents", out);
  }
}

void Turn::ask_for_tool(const std::string* refused, Effects& out) {
  state_ = State::deciding;
  out.push_back(CallModel{decision_request(*stack_, query(), refused)});
}

void Turn::take_decision(const ModelAnswer& answer, Effects& out) {
  count(answer);
  if (const auto tool = read_decision(*stack_, answer.text)) {
    choose(*tool,
           repaired_ ? "the decision maker picked it at the second try"
                     : "the decision maker picked it",
           out);
  } else if (!repaired_) {
    repaired_ = true;
    ask_for_tool(&answer.text, out);
  } else {
    choose(fallback_tool(*stack_), "the decision maker named no tool, twice", out);
  }
}

void Turn::choose(std::size_t tool, std::string_view why, Effects& out) {
  tool_ = tool;
  why_ = why;
  if (stack_->tools[tool].kind == StackTool::Kind::rag) {
    retrieve(tool, out);
  } else {
    record_choice(why, out);
  }
}

void Turn::retrieve(std::size_t tool, Effects& out) {
  state_ = State::retrieving;
  out.push_back(Retrieve{tool, query()});
}

void Turn::take_passages(PassagesFound found, Effects& out) {
  found_ = std::move(found);
  if (tool_) return record_choice(why_, out);
  const std::size_t fallback = fallback_tool(*stack_);
  const bool from_documents =
      found_.relevant || stack_->tools[fallback].kind == StackTool::Kind::rag;
  tool_ = from_documents ? *first_rag_tool(*stack_) : fallback;
  if (!from_documents) found_ = {};
  record_choice(found_.relevant ? "the documents hold what fits the question"
                                : "the documents hold nothing that fits the question",
                out);
}

/// The choice and what was found are recorded together, so that a crash leaves both or neither.
void Turn::record_choice(std::string_view why, Effects& out) {
  if (choice_recorded_) return call_model(out);
  state_ = State::prepared;
  const StackTool& tool = stack_->tools[*tool_];
  Record record;
  record.step = true;
  record.events.push_back(choice_step(message_id_, tool, query(), why));
  if (tool.kind == StackTool::Kind::rag) {
    record.events.push_back(search_step(message_id_, tool, found_.passages, found_.embeddings));
  }
  out.push_back(std::move(record));
}

void Turn::plan(ModelAnswer answer, Effects& out) {
  ++plans_made_;
  state_ = State::planned;
  text_.clear();
  text_shown_.clear();
  StepRecorded step{message_id_, StepType::planning, plan_text(answer), answer.tool_calls, {}};
  append_step(conversation_, step);
  planned_calls_ = std::move(answer.tool_calls);
  Record record;
  record.events.push_back(std::move(step));
  record.step = true;
  out.push_back(std::move(record));
}

/// An agent's models may call its own tools only.
bool Turn::may_call(const ToolCall& call) const {
  return !agent_ ||
         std::find(agent_->tools.begin(), agent_->tools.end(), call.name) != agent_->tools.end();
}

void Turn::act(std::vector<ToolCall> calls, Effects& out) {
  state_ = State::acting;
  std::vector<ToolCall> runnable;
  for (ToolCall& call : calls) {
    const Status status = may_call(call) ? toolbox_.check(call) : no_such_tool(call);
    if (status) {
      runnable.push_back(std::move(call));
    } else {
      refused_.push_back({call.id, call.name, status.error().detail, true});
    }
  }
  if (runnable.empty()) {
    finish_tools({}, out);
  } else {
    out.push_back(RunTools{plans_made_, std::move(runnable)});
  }
}

void Turn::finish_tools(std::vector<ToolResult> results, Effects& out) {
  for (ToolResult& refused : std::exchange(refused_, {})) results.push_back(std::move(refused));
  StepRecorded step{message_id_, StepType::action, action_text(results), {}, std::move(results)};
  append_step(conversation_, step);
  state_ = State::acted;
  Record record;
  record.step = true;
  record.events.push_back(std::move(step));
  out.push_back(std::move(record));
}

void Turn::answer(ModelAnswer answer, Effects& out) {
  if (answer.text.find_first_not_of(" \t\r\n") == std::string::npos) {
    fail(Errc::unavailable, "the model returned an empty answer", out);
    return;
  }
  if (voice_) return record_answer(std::move(answer.text), out);
  StepRecorded step{message_id_, StepType::final_answer, std::move(answer.text), {}, {}};
  append_step(conversation_, step);
  std::vector<Event> events;
  events.push_back(std::move(step));
  for (const MessageId& id : heard_) {
    events.push_back(
        RunEnded{id, RunOutcome::completed, id == message_id_ ? usage_ : ModelUsage{}});
  }
  end(std::move(events), out);
}

// ---- Of a voice message ----

void Turn::take_transcript(Transcribed heard, Effects& out) {
  if (heard.text.empty()) {
    fail(Errc::unprocessable, "no words were heard in the recording", out);
    return;
  }
  StepRecorded step{message_id_, StepType::transcript, std::move(heard.text), {}, {}};
  step.engine = std::move(heard.engine);
  append_step(conversation_, step);
  state_ = State::prepared;
  Record record;
  record.step = true;
  record.events.push_back(std::move(step));
  out.push_back(std::move(record));
}

/// Before it is spoken, so that a failure or a crash leaves the answer.
void Turn::record_answer(std::string text, Effects& out) {
  text_.clear();
  text_shown_.clear();
  answer_ = text;
  StepRecorded step{message_id_, StepType::final_answer, std::move(text), {}, {}};
  append_step(conversation_, step);
  state_ = State::answered;
  Record record;
  record.step = true;
  record.events.push_back(std::move(step));
  out.push_back(std::move(record));
}

void Turn::speak(Effects& out) {
  state_ = State::speaking;
  out.push_back(Speak{answer_, agent_ ? agent_->voice.value_or("") : std::string()});
}

void Turn::finish_speech(Spoken spoken, Effects& out) {
  StepRecorded step{message_id_, StepType::audio, audio_text(spoken), {}, {}};
  step.engine = std::move(spoken.engine);
  step.audio = std::move(spoken.audio);
  std::vector<Event> events;
  events.push_back(std::move(step));
  for (const MessageId& id : heard_) {
    events.push_back(
        RunEnded{id, RunOutcome::completed, id == message_id_ ? usage_ : ModelUsage{}});
  }
  end(std::move(events), out);
}

void Turn::retry_or_fail(const CallFailed& failure, Effects& out) {
  // Before the first token the model proxy has tried already; in mid-answer only we know what was
  // shown, so the call is started anew here and the text is declared void.
  if (failure.retryable && !text_.empty() && restarts_ < options_.restarts_max) {
    ++restarts_;
    --calls_made_;
    out.push_back(Show{TextReset{message_id_}});
    call_model(out);
    return;
  }
  fail(failure.code, failure.detail, out);
}

void Turn::fail(Errc code, const std::string& why, Effects& out) {
  std::vector<Event> events;
  keep_partial(events);
  for (const MessageId& id : heard_) {
    events.push_back(RunFailed{id, why, code, id == message_id_ ? usage_ : ModelUsage{}});
  }
  end(std::move(events), out);
}

void Turn::stop_work(Effects& out) {
  if (state_ == State::calling || state_ == State::deciding) out.push_back(AbandonCall{});
  if (state_ == State::acting) out.push_back(AbandonTools{});
  if (state_ == State::transcribing || state_ == State::speaking) out.push_back(AbandonSpeech{});
}

void Turn::end(std::vector<Event> events, Effects& out) {
  state_ = State::ended;
  Record record;
  record.events = std::move(events);
  out.push_back(std::move(record));
}

void Turn::count(const ModelAnswer& answer) {
  usage_ += answer.usage;
  if (answer.usage == ModelUsage{}) {
    usage_.tokens_out += estimated_tokens(answer.text.size());
  }
}

/// Adds what was written of an answer that does not come to its end.
void Turn::keep_partial(std::vector<Event>& events) {
  const std::string& text = text_.empty() ? text_shown_ : text_;
  if (text.empty()) return;
  StepRecorded step{message_id_, StepType::partial_answer, text, {}, {}};
  append_step(conversation_, step);
  events.push_back(std::move(step));
}

bool Turn::withdraw(const MessageId& id) {
  return std::erase_if(steered_, [&](const SteerArrived& each) { return each.message_id == id; }) >
         0;
}

std::vector<SteerArrived> Turn::take_unheard() {
  return std::exchange(steered_, {});
}

std::vector<ChatMessage> Turn::exchange() const {
  return {conversation_.begin() + static_cast<std::ptrdiff_t>(history_size_), conversation_.end()};
}

}  // namespace parlance::agent
