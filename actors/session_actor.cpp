#include "actors/session_actor.h"

#include <algorithm>

#include <fmt/format.h>

#include "actors/core_services.h"
#include "actors/retrieval_loop.h"
#include "actors/session_directory.h"
#include "actors/speech_loop.h"
#include "agent/lifecycle.h"
#include "base/check.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/uuid.h"

namespace parlance::actors {
namespace {

SteadyTime steady_now() {
  return std::chrono::steady_clock::now();
}

/// Bound of commands held back while the log is being read.
constexpr std::size_t kStashedMax = 64;

/// Bound of what waits for one append: repeats of a message, messages to look up, cancels.
constexpr std::size_t kWaitingMax = 1'024;

void refuse(Submit& submit, Error error) {
  metrics::get().messages_refused.add();
  submit.reply(std::move(error));
}
void refuse(Ping& ping, Error error) {
  ping.reply(std::move(error), {});
}
/// Of the other commands, whose replies say whether it worked.
template <class Command>
void refuse(Command& command, Error error) {
  command.reply(std::move(error));
}

void count(const Event& recorded) {
  metrics::Metrics& m = metrics::get();
  if (std::holds_alternative<MessageAccepted>(recorded)) {
    m.messages_accepted.add();
  } else if (std::holds_alternative<RunFailed>(recorded)) {
    m.runs_failed.add();
  } else if (const auto* end = std::get_if<RunEnded>(&recorded)) {
    (end->outcome == RunOutcome::completed ? m.runs_completed : m.runs_cancelled).add();
  }
}

LastEvent kind_of(const Event& event) {
  if (std::holds_alternative<MessageAccepted>(event)) return LastEvent::message;
  if (std::holds_alternative<StepRecorded>(event)) return LastEvent::step;
  if (std::holds_alternative<RunFailed>(event)) return LastEvent::failed;
  if (const auto* end = std::get_if<RunEnded>(&event)) {
    return end->outcome == RunOutcome::completed ? LastEvent::completed : LastEvent::cancelled;
  }
  return LastEvent::other;
}

}  // namespace

SessionActor::SessionActor(caf::actor_config& config, SessionId id, CoreServices& services)
    : SessionHandle::base(config),
      CoreBound(services.core),
      id_(std::move(id)),
      services_(services),
      history_(services.agent_options.history_bytes_max) {}

SessionActor::~SessionActor() = default;

void SessionActor::on_exit() {
  services_.directory->forget(id_, static_cast<caf::abstract_actor*>(this));
}

SessionActor::behavior_type SessionActor::make_behavior() {
  set_error_handler([](caf::error& /*error*/) {});
  set_exception_handler([this](std::exception_ptr& thrown) -> caf::error {
    try {
      std::rethrow_exception(thrown);
    } catch (const std::exception& e) {
      log::error("exception in a session session={} what={}", id_.text, log::value(e.what()));
    } catch (...) {
      log::error("exception in a session session={}", id_.text);
    }
    give_up({Errc::internal, "the session met a bug of the server; it goes on after a restart"});
    return caf::none;
  });
  return {
      [this](ModelWrote& m) {
        if (run_ && run_->call == m.call) feed(agent::TextArrived{std::move(m.text)});
      },
      [this](ModelAnswered& m) {
        if (!run_ || run_->call != m.call) return;
        run_->call = 0;
        feed(agent::AnswerArrived{std::move(m.answer)});
      },
      [this](ModelFailed& m) {
        if (!run_ || run_->call != m.call) return;
        run_->call = 0;
        feed(agent::CallFailed{m.code, std::move(m.detail), m.retryable});
      },
      [this](ToolsRan& m) {
        if (!run_ || run_->batch != m.batch) return;
        run_->batch = 0;
        feed(agent::ToolsEnded{std::move(m.results)});
      },
      [this](Retrieved& m) {
        if (!run_ || run_->search != m.search) return;
        run_->search = 0;
        if (m.found) {
          feed(std::move(*m.found));
        } else {
          feed(agent::RetrievalFailed{m.found.error().code, m.found.error().detail});
        }
      },
      [this](AgentRead& m) {
        if (!run_ || run_->search != m.search) return;
        run_->search = 0;
        if (m.agent) {
          feed(agent::AgentFound{std::move(m.agent->settings)});
        } else {
          feed(agent::AgentNotFound{m.agent.error().code, m.agent.error().detail});
        }
      },
      [this](Heard& m) {
        if (!run_ || run_->speech != m.speech) return;
        run_->speech = 0;
        if (m.heard) {
          feed(std::move(*m.heard));
        } else {
          feed(agent::SpeechFailed{m.heard.error().code, m.heard.error().detail});
        }
      },
      [this](SpeechGrew& m) { handle(m); },
      [this](SpeechEnded& m) {
        if (!run_ || run_->speech != m.speech) return;
        run_->speech = 0;
        if (m.spoken) {
          feed(std::move(*m.spoken));
        } else {
          feed(agent::SpeechFailed{m.spoken.error().code, m.spoken.error().detail});
        }
      },
      [this](AudioErased& m) { closed(m.status, LifecycleState::deactivated); },
      [this](DocumentsPrepared& m) { handle(m); },
      [this](DocumentsWritten& m) { handle(m); },
      [this](Submit& m) { receive(m); },
      [this](ChangeLifecycle& m) { receive(m); },
      [this](Store& m) { receive(m); },
      [this](AwaitEnd& m) { receive(m); },
      [this](Cancel& m) { receive(m); },
      [this](Ping& m) { receive(m); },
      [this](Snapshot& m) { handle(m); },
      [this](const Wake&) {
        ++handled_;
        load();
      },
      [this](const Tick& m) { handle(m); },
      [this](const Nap&) { handle_nap(); },
      [this](Loaded& m) { handle(m); },
      [this](Appended& m) { handle(m); },
  };
}

// ---- Commands ----

template <class T>
void SessionActor::receive(T& command) {
  ++handled_;
  serve(command);
}

template <class T>
void SessionActor::serve(T& command) {
  switch (state_) {
    case State::ready:
      handle(command);
      return;
    case State::broken:
      refuse(command, *broken_);
      return;
    case State::asleep:
      load();
      if (state_ == State::ready) return handle(command);
      break;
    case State::loading:
      break;
  }
  if (stashed_.size() >= kStashedMax) {
    refuse(command, {Errc::resource_exhausted, "the session is starting and has too much waiting"});
    return;
  }
  stashed_.emplace_back(std::move(command));
}

void SessionActor::handle(Submit& submit) {
  if (client_ || submit.command.of_client) {
    const Status fits = agent::takes_work(client());
    if (!fits) return refuse(submit, fits.error());
  }
  const MessageId& id = submit.command.message_id;
  // The store knows every id that is durable; those on their way are known only here.
  SessionLog::Entry* const first = log_.find(id);
  // A repeat that brings a key goes to the store, which remembers the key.
  if (first != nullptr && submit.command.idempotency_key.empty()) {
    if (std::get<MessageAccepted>(first->event).text != submit.command.text) {
      refuse(submit, {Errc::already_exists, "this message_id was used with another message"});
    } else if (first->replies.size() >= kWaitingMax) {
      refuse(submit, {Errc::resource_exhausted,
                      "this message was sent too many times before it was durable"});
    } else {
      first->replies.push_back(std::move(submit.reply));  // Answered when that is durable.
    }
    return;
  }
  if (log_.count_waiting() >= kWaitingMax) {
    refuse(submit, {Errc::resource_exhausted,
                    "too much waits to be written in this chat; send it again a little later"});
    return;
  }
  const bool known = first != nullptr || log_.is_unfinished(id);
  std::optional<Error> refusal = known ? std::nullopt : why_refused(submit.command);
  if (refusal) {
    log_.refuse_unless_known(std::move(submit.command), std::move(submit.reply),
                             std::move(*refusal));
    flush();
    return;
  }
  // Nothing runs, so this one will: the model is called while the message becomes durable.
  // Not beside an append, though: that may write this message's id or key.
  const bool runs_next =
      !busy() && log_.quiet() &&
      (log_.empty() || services_.store.surely_new(id_, id.text, submit.command.idempotency_key));
  Queued next{0, id, runs_next ? submit.command.text : std::string()};
  next.retry_of = submit.command.retry_of;
  next.voice = submit.command.voice;
  log_.record(std::move(submit.command), std::move(submit.reply));
  flush();
  if (runs_next) start_run(std::move(next), {});
}

std::optional<Error> SessionActor::why_refused(const SubmitMessage& message) const {
  if (!message.retry_of.text.empty() && is_run_again(message.retry_of)) {
    return Error{Errc::failed_precondition, "the message is being answered; wait for its end"};
  }
  if (message.on_busy == OnBusy::reject && busy()) {
    return Error{Errc::failed_precondition,
                 "a run is in progress and on_busy is \"reject\"; send it again when that has "
                 "ended, or with on_busy \"queue\", \"interrupt\" or \"steer\""};
  }
  if (waiting_messages() >= services_.options.queue_max + (run_ ? 0 : 1)) {
    return Error{Errc::resource_exhausted,
                 fmt::format("{} messages wait in this chat already, the limit; send it again when "
                             "one of them has ended",
                             services_.options.queue_max)};
  }
  return std::nullopt;
}

/// Or for the first time.
bool SessionActor::is_run_again(const MessageId& root) const {
  const auto runs = [&](const Queued& queued) {
    return queued.id == root || queued.retry_of == root;
  };
  return (run_ && run_->name == root) || log_.retries(root) ||
         std::any_of(queue_.begin(), queue_.end(), runs);
}

void SessionActor::handle(Cancel& cancel) {
  const auto& wanted = cancel.command.message_id;
  if (cancel_waiters_.size() + early_cancels_.size() >= kWaitingMax) {
    cancel.reply(Error{Errc::resource_exhausted,
                       "too many cancels wait in this chat; send it again a little later"});
    return;
  }
  if (try_cancel(cancel.command, cancel.reply)) return;
  if (wanted && join_cancel(*wanted, cancel.reply)) return;
  // Not durable yet, so it has no run to end: asked again when it has.
  if (wanted ? log_.find(*wanted) != nullptr : log_.recording()) {
    early_cancels_.push_back(std::move(cancel));
    return;
  }
  cancel.reply(Error{Errc::not_found, wanted ? "no unfinished message has this message_id"
                                             : "nothing is running in this chat"});
}

/// True when a cancel was begun and `reply` will be called.
bool SessionActor::try_cancel(const CancelMessage& command,
                              const SessionGateway::StatusReply& reply) {
  const auto& wanted = command.message_id;
  if (run_ && !run_->turn.ended()) {
    const auto& heard = run_->turn.heard();
    if (!wanted || std::find(heard.begin(), heard.end(), *wanted) != heard.end()) {
      cancel_waiters_.emplace_back(run_->turn.message_id(), reply);
      feed(agent::CancelAsked{});
      return true;
    }
  }
  if (!wanted) return false;
  if (run_ && run_->turn.withdraw(*wanted)) {
    cancel_unheard(*wanted, reply);
    return true;
  }
  const auto it = std::find_if(queue_.begin(), queue_.end(),
                               [&](const Queued& queued) { return queued.id == *wanted; });
  if (it == queue_.end()) return false;
  queue_.erase(it);
  cancel_unheard(*wanted, reply);
  return true;
}

/// Waits together with one whose cancel of the same message is on its way to the disk.
bool SessionActor::join_cancel(const MessageId& id, const SessionGateway::StatusReply& reply) {
  MessageId ends = id;
  if (run_) {
    const auto& heard = run_->turn.heard();
    const bool in_run = std::find(heard.begin(), heard.end(), id) != heard.end();
    if (in_run) ends = run_->turn.message_id();
  }
  const bool waited_for = std::any_of(cancel_waiters_.begin(), cancel_waiters_.end(),
                                      [&](const auto& waiter) { return waiter.first == ends; });
  if (waited_for) cancel_waiters_.emplace_back(std::move(ends), reply);
  return waited_for;
}

/// Ends a message that no run has taken up.
void SessionActor::cancel_unheard(MessageId id, const SessionGateway::StatusReply& reply) {
  cancel_waiters_.emplace_back(id, reply);
  log_.record(RunEnded{std::move(id), RunOutcome::cancelled, {}});
  flush();
}

void SessionActor::handle(Ping& ping) {
  ping.reply({}, std::move(ping.data));
}

void SessionActor::handle(Snapshot& snapshot) {
  ++handled_;
  if (!run_ || run_->turn.text().empty() || run_->turn.ended()) {
    snapshot.reply(std::nullopt);
    return;
  }
  snapshot.reply(TextSnapshot{run_->turn.message_id(), run_->turn.text()});
}

void SessionActor::handle(const Tick& tick) {
  if (!run_ || run_->seq == 0 || run_->turn.ended()) return;
  if (tick.now - run_->started >= services_.agent_options.run_timeout) {
    feed(agent::TimeUp{});
    return;
  }
  if (run_->batch != 0 && tick.now - run_->tools_started >= services_.agent_options.tool_timeout) {
    run_->batch = 0;
    feed(agent::ToolsEnded{agent::results_of_late(run_->tools_running)});
    return;
  }
  if (tick.now - run_->text_kept_at >= services_.options.partial_interval) keep_text();
}

// ---- For the console ----

SessionView SessionActor::view() const {
  SessionView view{.session = id_, .waiting = waiting_messages(), .last_seq = log_.last().seq};
  view.last_event = last_event_;
  view.last_event_at = last_event_at_;
  switch (state_) {
    case State::asleep:
      view.activity = SessionActivity::asleep;
      break;
    case State::loading:
      view.activity = SessionActivity::loading;
      break;
    case State::ready:
      view.activity = busy() ? SessionActivity::running : SessionActivity::idle;
      break;
    case State::broken:
      view.activity = SessionActivity::broken;
      break;
  }
  return view;
}

std::optional<RunView> SessionActor::view_run() const {
  if (!run_) return std::nullopt;
  const auto age =
      std::chrono::duration_cast<std::chrono::milliseconds>(steady_now() - run_->started);
  RunView view{.session = id_, .message = run_->turn.message_id()};
  view.started = {wall_now().ms - age.count()};
  view.waiting = waiting_messages();
  view.text_bytes = run_->turn.text().size();
  if (run_->speech != 0) {
    view.activity = run_->hears ? RunActivity::listening : RunActivity::speaking;
  } else if (run_->batch != 0) {
    view.activity = RunActivity::acting;
  } else if (run_->search != 0) {
    view.activity = RunActivity::searching;
  } else if (run_->call != 0) {
    view.activity = view.text_bytes == 0 ? RunActivity::calling : RunActivity::writing;
  }
  return view;
}

void SessionActor::handle_nap() {
  if (!idle()) return;
  if (services_.directory->let_sleep(id_, handled_)) quit();
}

bool SessionActor::busy() const {
  return run_ != nullptr || !queue_.empty() || log_.recording();
}

bool SessionActor::idle() const {
  // A successor that loaded the log while an append is on its way would write over it.
  const bool storing = client_ && (!client_->stores.empty() || closing());
  return state_ != State::loading && stashed_.empty() && !log_.appending() && !storing &&
         (state_ == State::broken || !busy());
}

std::size_t SessionActor::waiting_messages() const {
  const bool running = run_ && (run_->seq == 0 || log_.is_unfinished(run_->seq));
  return log_.count_unfinished() + log_.count_accepting() - (running ? 1 : 0);
}

// ---- The log ----

void SessionActor::load() {
  if (state_ != State::asleep) return;
  if (services_.store.surely_empty(id_)) {  // Most often: the first message of a new chat.
    storage::SessionImage image;
    image.last = {services_.store.epoch(), 0};
    begin(image);
    return;
  }
  state_ = State::loading;
  caf::anon_send(services_.reader_of(id_), LoadSession{id_, SessionHandle{this}});
}

void SessionActor::handle(Loaded& loaded) {
  if (!loaded.image) {
    log::error("cannot load a session session={} why={}", id_.text,
               log::value(loaded.image.error().detail));
    state_ = State::broken;
    broken_ = std::make_unique<Error>(loaded.image.error());
    for (Command& command : std::exchange(stashed_, {})) {
      std::visit([&](auto& c) { refuse(c, *broken_); }, command);
    }
    return;
  }
  begin(*loaded.image);
}

void SessionActor::begin(storage::SessionImage& image) {
  state_ = State::ready;
  restore(image);
  go_on(image);
  for (Command& command : std::exchange(stashed_, {})) {
    std::visit([this](auto& c) { serve(c); }, command);
  }
}

void SessionActor::note_last(const RecordedEvent& event) {
  last_event_ = kind_of(event.event);
  last_event_at_ = event.time;
}

/// The recording of an answer has the id that the platform gives the answer.
std::string SessionActor::name_of_answer(const RecordedEvent& answer) const {
  return derived_uuid7(answer.time, id_.text, answer.cursor.seq);
}

void SessionActor::keep_text() {
  run_->text_kept_at = steady_now();
  log_.keep_text(run_->turn.message_id(), run_->turn.text());
  flush();
}

void SessionActor::flush() {
  if (state_ != State::ready) return;
  auto request = log_.start_append(id_);
  if (!request) return;
  caf::anon_send(services_.persistence, Append{std::move(*request), SessionHandle{this}});
}

void SessionActor::handle(Appended& appended) {
  if (state_ == State::broken) {  // It gave up meanwhile, for another reason.
    log_.end_append();
    return;
  }
  if (!appended.outcomes) {
    log_.end_append();
    give_up(appended.outcomes.error());
    return;
  }
  SessionLog::Landed landed = log_.land(*appended.outcomes, services_.store.epoch());
  for (const RecordedEvent& told : landed.told) count(told.event);
  if (!landed.told.empty()) note_last(landed.told.back());
  if (!landed.told.empty()) services_.sink.on_recorded(id_, landed.told);
  auto next = landed.told.begin();
  for (auto& [entry, outcome] : landed.entries) {
    answer(entry, outcome);
    if (entry.landed) entry.landed({});
    if (outcome.recorded()) {
      take_effect(*next++);
    } else if (run_ && run_->seq == 0 && run_->turn.message_id() == entry.message_id) {
      drop_run();  // It was no new message after all.
    }
    // Who waited for a repeat's end meanwhile, when the first one's had come and gone.
    if (!outcome.recorded() && !log_.is_unfinished(entry.message_id) &&
        log_.find(entry.message_id) == nullptr) {
      answer_end_waiters(entry.message_id);
    }
  }
  for (const SessionLog::Landing& landing : landed.beside) landing({});
  for (Cancel& cancel : std::exchange(early_cancels_, {})) handle(cancel);
  if (run_ && run_->turn.ended() && run_->seq != 0 && !log_.is_unfinished(run_->seq)) run_ended();
  if (closing()) go_on_closing();
  start_next();
  log_.end_append();
  flush();
}

void SessionActor::answer(SessionLog::Entry& entry, const storage::RecordOutcome& outcome) {
  if (entry.replies.empty()) return;
  std::optional<Error> refusal;
  if (outcome.duplicate && !outcome.same_content) {
    refusal = Error{Errc::already_exists,
                    "this message_id or Idempotency-Key was used with another message"};
  } else if (!outcome.duplicate) {
    refusal = std::move(entry.refusal);
  }
  if (refusal) {
    metrics::get().messages_refused.add();
    for (const auto& reply : entry.replies) reply(*refusal);
    return;
  }
  SubmitAccepted accepted{
      entry.message_id, {services_.store.epoch(), outcome.seq}, outcome.duplicate};
  for (const auto& reply : entry.replies) {
    if (accepted.duplicate) metrics::get().messages_duplicate.add();
    reply(accepted);
    accepted.duplicate = true;  // The others are repeats.
  }
}

void SessionActor::take_effect(RecordedEvent& recorded) {
  if (auto* message = std::get_if<MessageAccepted>(&recorded.event)) {
    accepted(*message, recorded.cursor.seq);
  } else if (auto* step = std::get_if<StepRecorded>(&recorded.event)) {
    if (!run_ || run_->turn.message_id() != step->message_id) return;
    if (step->type == StepType::final_answer) run_->answer_name = name_of_answer(recorded);
    feed(agent::StepDurable{});
  } else if (is_terminal(recorded.event)) {
    answer_cancels(message_of(recorded.event));
    answer_end_waiters(message_of(recorded.event));
  }
}

void SessionActor::accepted(MessageAccepted& message, EventSeq seq) {
  if (run_ && run_->seq == 0 && run_->turn.message_id() == message.message_id) {
    run_->seq = seq;  // The run began when the message came.
    for (agent::Input& input : std::exchange(run_->held, {})) feed(std::move(input));
    return;
  }
  const bool running = run_ != nullptr && !run_->turn.ended();
  if (running && message.on_busy == OnBusy::steer) {
    feed(agent::SteerArrived{std::move(message.message_id), std::move(message.text)});
    return;
  }
  Queued queued{seq, std::move(message.message_id), std::move(message.text)};
  queued.retry_of = std::move(message.retry_of);
  queued.voice = std::move(message.voice);
  if (message.on_busy == OnBusy::interrupt) {
    queue_.insert(queue_.begin(), std::move(queued));
    if (running) feed(agent::CancelAsked{});
    start_next();
    return;
  }
  queue_.push_back(std::move(queued));
  start_next();
}

void SessionActor::answer_cancels(const MessageId& id) {
  for (auto it = cancel_waiters_.begin(); it != cancel_waiters_.end();) {
    if (it->first != id) {
      ++it;
      continue;
    }
    const auto reply = std::move(it->second);
    it = cancel_waiters_.erase(it);
    reply({});
  }
}

void SessionActor::answer_end_waiters(const MessageId& id) {
  for (auto it = end_waiters_.begin(); it != end_waiters_.end();) {
    if (it->message != id) {
      ++it;
      continue;
    }
    const auto reply = std::move(it->reply);
    it = end_waiters_.erase(it);
    reply({});
  }
}

void SessionActor::give_up(const Error& error) {
  state_ = State::broken;
  broken_ = std::make_unique<Error>(error);
  if (run_) {
    if (run_->seq != 0) {
      services_.sink.on_passing(id_, RunStalled{run_->turn.message_id(), error.detail});
    }
    drop_run();
  }
  for (SessionLog::Entry& entry : log_.abandon()) {
    for (const auto& reply : entry.replies) reply(error);
    if (entry.landed) entry.landed(error);
  }
  for (const SessionLog::Landing& landing : log_.abandon_beside()) landing(error);
  for (AwaitEnd& await : std::exchange(end_waiters_, {})) await.reply(error);
  give_up_client(error);
  for (Command& command : std::exchange(stashed_, {})) {
    std::visit([&](auto& c) { refuse(c, error); }, command);
  }
  for (auto& [id, reply] : std::exchange(cancel_waiters_, {})) reply(error);
  for (Cancel& cancel : std::exchange(early_cancels_, {})) cancel.reply(error);
  queue_.clear();
}

// ---- The turn ----

void SessionActor::start_next() {
  if (run_ || queue_.empty() || state_ != State::ready || closing()) return;
  Queued next = std::move(queue_.front());
  queue_.erase(queue_.begin());
  start_run(std::move(next), {});
}

void SessionActor::start_run(Queued message, std::string text_shown) {
  MessageId name = message.retry_of.text.empty() ? message.id : std::move(message.retry_of);
  history_.forget(name);
  const bool of_agent = client_ && client_->record.scope == Scope::platform;
  const agent::Stack* const stack = client_ && !of_agent ? &services_.stack : nullptr;
  run_ = std::make_unique<Run>(
      Run{message.seq,
          agent::Turn(
              {message.id, std::move(message.text), history_.messages(), std::move(message.steps),
               std::move(text_shown), stack, of_agent, std::move(message.voice)},
              services_.agent_options, services_.toolbox),
          steady_now()});
  run_->name = std::move(name);
  run_->answer_name = std::move(message.answer_name);
  run_->text_kept_at = run_->started;
  services_.directory->set_running(id_, true);
  metrics::get().runs_active.add(1);
  carry_out(run_->turn.begin());
}

void SessionActor::feed(agent::Input input) {
  if (!run_) return;
  if (run_->seq == 0) {
    run_->held.push_back(std::move(input));
    return;
  }
  carry_out(run_->turn.step(std::move(input)));
}

void SessionActor::carry_out(agent::Effects effects) {
  for (agent::Effect& effect : effects) {
    std::visit([this](auto& e) { carry_out(e); }, effect);
  }
  flush();
}

void SessionActor::carry_out(agent::CallModel& effect) {
  log_.drop_text();
  run_->call = ++services_.last_ticket;
  tell(services_.worker(), services_.model_proxy,
       StartCall{run_->call, std::move(effect.request), RunHandle{this}});
}

void SessionActor::carry_out(agent::AbandonCall& /*effect*/) {
  tell(services_.worker(), services_.model_proxy, CancelCall{std::exchange(run_->call, 0)});
}

void SessionActor::carry_out(agent::RunTools& effect) {
  run_->batch = ++services_.last_ticket;
  run_->tools_started = steady_now();
  run_->tools_running = effect.calls;
  const auto& runners = services_.tool_runners;
  caf::anon_send(runners[run_->batch % runners.size()],
                 RunToolCalls{run_->batch, id_, run_->turn.message_id(), effect.step,
                              std::move(effect.calls), RunHandle{this}});
}

void SessionActor::carry_out(agent::AbandonTools& /*effect*/) {
  run_->batch = 0;
}

void SessionActor::carry_out(agent::Retrieve& effect) {
  run_->search = ++services_.last_ticket;
  services_.retrieval.search(
      id_, services_.stack.tools[effect.tool], std::move(effect.query),
      [session = SessionHandle{this}, search = run_->search](Result<agent::PassagesFound> found) {
        caf::anon_send(session, Retrieved{search, std::move(found)});
      });
}

void SessionActor::carry_out(agent::FindAgent& /*effect*/) {
  run_->search = ++services_.last_ticket;
  caf::anon_send(services_.reader_of(id_),
                 ReadStore{[id = id_, session = SessionHandle{this},
                            search = run_->search](const storage::Store& store) {
                   caf::anon_send(session, AgentRead{search, store.agent_of(id)});
                 }});
}

void SessionActor::carry_out(agent::Transcribe& effect) {
  // Numbers of calls are drawn here: an answer may come before the loop returns its own.
  const std::uint64_t speech = ++services_.last_ticket;
  run_->speech = speech;
  run_->hears = true;
  run_->speech_call = services_.speech.transcribe(
      id_, std::move(effect.audio), std::move(effect.language),
      [session = SessionHandle{this}, speech](Result<agent::Transcribed> heard) {
        caf::anon_send(session, Heard{speech, std::move(heard)});
      });
}

void SessionActor::carry_out(agent::Speak& effect) {
  const std::uint64_t speech = ++services_.last_ticket;
  run_->speech = speech;
  run_->hears = false;
  run_->spoken = {};
  run_->speech_call = services_.speech.speak(
      id_, run_->answer_name, std::move(effect.text), std::move(effect.voice),
      [session = SessionHandle{this}, speech](SpeechProgress progress) {
        caf::anon_send(session, SpeechGrew{speech, std::move(progress)});
      },
      [session = SessionHandle{this}, speech](Result<agent::Spoken> spoken) {
        caf::anon_send(session, SpeechEnded{speech, std::move(spoken)});
      });
}

void SessionActor::carry_out(agent::AbandonSpeech& /*effect*/) {
  services_.speech.cancel(run_->speech_call);
  run_->speech = 0;
}

void SessionActor::handle(SpeechGrew& m) {
  if (!run_ || run_->speech != m.speech) return;
  run_->spoken = std::move(m.progress);
  for (const AwaitEnd& waiting : end_waiters_) {
    if (waiting.on_speech && waiting.message == run_->turn.message_id()) {
      waiting.on_speech(run_->spoken);
    }
  }
}

void SessionActor::carry_out(agent::Record& effect) {
  log_.drop_text();  // What is recorded now replaces it.
  for (Event& event : effect.events) log_.record(std::move(event));
}

void SessionActor::carry_out(agent::Show& effect) {
  services_.sink.on_passing(id_, effect.event);
  if (std::holds_alternative<TextDelta>(effect.event) &&
      run_->turn.text().size() - log_.text_kept() >= services_.options.partial_bytes) {
    keep_text();
  }
}

/// Ends the run and its call; nothing of it is recorded.
void SessionActor::drop_run() {
  if (run_->call != 0) tell(services_.worker(), services_.model_proxy, CancelCall{run_->call});
  if (run_->speech != 0) services_.speech.cancel(run_->speech_call);
  run_.reset();
  services_.directory->set_running(id_, false);
  metrics::get().runs_active.add(-1);
}

void SessionActor::run_ended() {
  history_.add(run_->name, run_->turn.exchange());
  // What the run did not come to hear is answered after it, before what was queued later.
  auto unheard = run_->turn.take_unheard();
  run_.reset();
  services_.directory->set_running(id_, false);
  metrics::get().runs_active.add(-1);
  std::vector<Queued> again;
  for (agent::SteerArrived& steer : unheard) {
    const EventSeq seq = log_.place_of(steer.message_id);
    CHECK(seq != 0);
    again.push_back({seq, std::move(steer.message_id), std::move(steer.text)});
  }
  queue_.insert(queue_.begin(), std::make_move_iterator(again.begin()),
                std::make_move_iterator(again.end()));
}

}  // namespace parlance::actors
