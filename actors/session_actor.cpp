#include "actors/session_actor.h"

#include <algorithm>

#include <fmt/format.h>

#include "actors/core_services.h"
#include "actors/session_directory.h"
#include "base/check.h"
#include "base/log.h"
#include "base/metrics.h"
#include "schemas/codec.h"

namespace parlance::actors {
namespace {

SteadyTime steady_now() {
  return std::chrono::steady_clock::now();
}

/// Bound of commands held back while the log is being read.
constexpr std::size_t kStashedMax = 64;

/// Bound of repeats of one message that wait for it to become durable.
constexpr std::size_t kRepeatsMax = 1'024;

void refuse(Submit& submit, Error error) {
  metrics::get().messages_refused.add();
  submit.reply(std::move(error));
}
void refuse(Cancel& cancel, Error error) {
  cancel.reply(std::move(error));
}
void refuse(Ping& ping, Error error) {
  ping.reply(std::move(error), {});
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
      [this](Submit& m) { receive(m); },
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
      refuse(command, {Errc::unavailable, "the store refuses writes; nothing can be accepted"});
      return;
    case State::asleep:
      load();
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
  const MessageId& id = submit.command.message_id;
  // The store knows every id that is durable; those on their way are known only here.
  const auto same_id = [&](const Outgoing& out) {
    const auto* message = std::get_if<MessageAccepted>(&out.event);
    return message != nullptr && message->message_id == id;
  };
  for (auto* list : {&flying_, &waiting_}) {
    const auto it = std::find_if(list->begin(), list->end(), same_id);
    if (it == list->end()) continue;
    const bool same_text = std::get<MessageAccepted>(it->event).text == submit.command.text;
    if (!same_text) {
      refuse(submit, {Errc::already_exists, "this message_id was used with another message"});
      return;
    }
    if (it->replies.size() >= kRepeatsMax) {
      refuse(submit, {Errc::resource_exhausted,
                      "this message was sent too many times before it was durable"});
      return;
    }
    // Joined to the first: answered when that is durable.
    it->replies.push_back(std::move(submit.reply));
    return;
  }
  const bool known = std::any_of(unfinished_.begin(), unfinished_.end(),
                                 [&](const auto& entry) { return entry.second == id; });
  if (!known) {
    if (submit.command.on_busy == OnBusy::reject && busy()) {
      refuse(submit, {Errc::failed_precondition,
                      "a run is in progress and on_busy is \"reject\"; send it again when that "
                      "has ended, or with on_busy \"queue\", \"interrupt\" or \"steer\""});
      return;
    }
    if (waiting_messages() >= services_.options.queue_max + (run_ ? 0 : 1)) {
      refuse(submit, {Errc::resource_exhausted,
                      fmt::format("{} messages wait in this chat already, the limit; send it again "
                                  "when one of them has ended",
                                  services_.options.queue_max)});
      return;
    }
  }
  storage::AppendRecord record;
  record.message_id = id.text;
  record.idempotency_key = std::move(submit.command.idempotency_key);
  MessageAccepted message{std::move(submit.command.message_id), std::move(submit.command.text),
                          submit.command.on_busy};
  this->record(std::move(message), std::move(record), std::move(submit.reply));
  flush();
}

void SessionActor::handle(Cancel& cancel) {
  const auto& wanted = cancel.command.message_id;
  const auto result = try_cancel(cancel.command, cancel.reply);
  if (!result) {
    cancel.reply(result.error());
    return;
  }
  if (*result) return;
  // Not durable yet, so it has no run to end: asked again when it has.
  const bool coming = wanted ? in_flight(*wanted) : !waiting_.empty() || !flying_.empty();
  if (coming) {
    early_cancels_.push_back(std::move(cancel));
    return;
  }
  cancel.reply(Error{Errc::not_found, wanted ? "no unfinished message has this message_id"
                                             : "nothing is running in this chat"});
}

/// True when a cancel was begun and `reply` will be called.
Result<bool> SessionActor::try_cancel(const CancelMessage& command,
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
  const auto it = std::find_if(queue_.begin(), queue_.end(),
                               [&](const Queued& queued) { return queued.id == *wanted; });
  if (it == queue_.end()) return false;
  cancel_waiters_.emplace_back(it->id, reply);
  RunEnded end{it->id, RunOutcome::cancelled, {}};
  queue_.erase(it);
  record(std::move(end));
  flush();
  return true;
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
  if (!run_ || run_->turn.ended()) return;
  if (tick.now - run_->started >= services_.agent_options.run_timeout) {
    feed(agent::TimeUp{});
    return;
  }
  if (run_->batch != 0 && tick.now - run_->tools_started >= services_.agent_options.tool_timeout) {
    run_->batch = 0;
    std::vector<ToolResult> late;
    for (const ToolCall& call : run_->tools_running) {
      late.push_back({call.id, call.name, "The tool did not answer in time.", true});
    }
    feed(agent::ToolsEnded{std::move(late)});
    return;
  }
  if (tick.now - run_->text_saved_at >= services_.options.partial_interval) save_text();
}

void SessionActor::handle_nap() {
  if (!idle()) return;
  if (services_.directory->let_sleep(id_, handled_)) quit();
}

bool SessionActor::busy() const {
  return run_ != nullptr || !queue_.empty() || !waiting_.empty() || !flying_.empty();
}

bool SessionActor::idle() const {
  // A successor that loaded the log while an append is on its way would write over it.
  return state_ != State::loading && stashed_.empty() && !appending_ &&
         (state_ == State::broken || !busy());
}

std::size_t SessionActor::accepting() const {
  const auto accepts = [](const Outgoing& out) {
    return std::holds_alternative<MessageAccepted>(out.event);
  };
  return static_cast<std::size_t>(std::count_if(flying_.begin(), flying_.end(), accepts) +
                                  std::count_if(waiting_.begin(), waiting_.end(), accepts));
}

std::size_t SessionActor::waiting_messages() const {
  const bool running = run_ && std::any_of(unfinished_.begin(), unfinished_.end(),
                                           [&](const auto& e) { return e.first == run_->seq; });
  return unfinished_.size() - (running ? 1 : 0) + accepting();
}

bool SessionActor::in_flight(const MessageId& id) const {
  const auto matches = [&](const Outgoing& out) {
    return std::holds_alternative<MessageAccepted>(out.event) && message_of(out.event) == id;
  };
  return std::any_of(flying_.begin(), flying_.end(), matches) ||
         std::any_of(waiting_.begin(), waiting_.end(), matches);
}

// ---- The log ----

void SessionActor::load() {
  if (state_ != State::asleep) return;
  state_ = State::loading;
  const auto& readers = services_.readers;
  const auto& reader = readers[std::hash<SessionId>{}(id_) % readers.size()];
  caf::anon_send(reader, LoadSession{id_, SessionHandle{this}});
}

void SessionActor::handle(Loaded& loaded) {
  if (!loaded.image) {
    log::error("cannot load a session session={} why={}", id_.text,
               log::value(loaded.image.error().detail));
    state_ = State::broken;
    for (Command& command : std::exchange(stashed_, {})) {
      std::visit([&](auto& c) { refuse(c, loaded.image.error()); }, command);
    }
    return;
  }
  state_ = State::ready;
  restore(*loaded.image);
  for (Command& command : std::exchange(stashed_, {})) {
    std::visit([this](auto& c) { serve(c); }, command);
  }
}

void SessionActor::restore(storage::SessionImage& image) {
  last_ = image.last;
  struct Found {
    EventSeq seq;
    MessageId id;
    std::string text;
    std::vector<StepRecorded> steps;
    bool ended = false;
  };
  std::vector<Found> found;
  for (RecordedEvent& recorded : image.events) {
    if (auto* message = std::get_if<MessageAccepted>(&recorded.event)) {
      found.push_back({recorded.cursor.seq,
                       std::move(message->message_id),
                       std::move(message->text),
                       {},
                       false});
      continue;
    }
    // Searched from the end: a run's events follow its message closely.
    const auto it = std::find_if(found.rbegin(), found.rend(), [&](const Found& f) {
      return f.id == message_of(recorded.event);
    });
    if (it == found.rend()) continue;  // Its message is older than what was loaded.
    if (auto* step = std::get_if<StepRecorded>(&recorded.event)) {
      it->steps.push_back(std::move(*step));
    } else {
      it->ended = true;
    }
  }
  for (Found& f : found) {
    if (!f.ended) {
      unfinished_.emplace_back(f.seq, f.id);
      queue_.push_back({f.seq, std::move(f.id), std::move(f.text), std::move(f.steps)});
      continue;
    }
    std::vector<ChatMessage> exchange;
    exchange.push_back({Role::user, std::move(f.text), {}, ""});
    for (const StepRecorded& step : f.steps) agent::append_step(exchange, step);
    history_.add(std::move(exchange));
  }
  parts_ = image.partial_parts;
  if (queue_.empty()) return;
  if (services_.store.refuses_writes()) {
    state_ = State::broken;
    return;
  }
  metrics::get().runs_recovered.add(static_cast<double>(queue_.size()));
  // The one that was running goes on first: it has text or steps.
  auto first = std::find_if(queue_.begin(), queue_.end(), [&](const Queued& q) {
    return parts_ > 0 && q.id == image.partial_message;
  });
  if (first == queue_.end()) {
    first = std::find_if(queue_.begin(), queue_.end(),
                         [](const Queued& q) { return !q.steps.empty(); });
  }
  if (first != queue_.end()) std::rotate(queue_.begin(), first, first + 1);
  std::string text = parts_ > 0 && queue_.front().id == image.partial_message
                         ? std::move(image.partial_text)
                         : std::string();
  drop_saved_text();
  Queued next = std::move(queue_.front());
  queue_.erase(queue_.begin());
  start_run(std::move(next), std::move(text));
}

void SessionActor::record(Event event, storage::AppendRecord record,
                          SessionGateway::SubmitReply reply) {
  const WallTime time = wall_now();
  record.bytes = encode(event, time);
  Outgoing& out = waiting_.emplace_back();
  if (reply) {
    out.message_id = message_of(event);
    out.replies.push_back(std::move(reply));
  }
  out.event = std::move(event);
  out.time = time;
  out.record = std::move(record);
}

void SessionActor::save_text() {
  const std::string& text = run_->turn.text();
  if (text.size() == run_->text_saved) return;
  run_->text_saved_at = steady_now();
  if (!part_waiting_) {
    if (parts_ == 0) parts_ = 1;
    part_waiting_ = storage::PartialText{run_->turn.message_id(), parts_++, {}};
  }
  part_waiting_->text.append(text, run_->text_saved);
  run_->text_saved = text.size();
  flush();
}

void SessionActor::drop_saved_text() {
  parts_to_drop_ = std::max(parts_to_drop_, parts_);
  parts_ = 0;
  part_waiting_.reset();
  if (run_) run_->text_saved = 0;
}

void SessionActor::flush() {
  if (appending_ || state_ != State::ready) return;
  if (waiting_.empty() && !part_waiting_ && parts_to_drop_ == 0) return;
  appending_ = true;
  flying_.swap(waiting_);
  Append append;
  append.session = SessionHandle{this};
  storage::AppendRequest& request = append.request;
  request.session = id_;
  request.last = last_.seq;
  request.records.reserve(flying_.size());
  for (Outgoing& out : flying_) request.records.push_back(std::move(out.record));
  if (!unfinished_.empty()) request.unfinished_before = unfinished_.front().first;
  for (const auto& entry : unfinished_) {
    const bool ends_now = std::any_of(flying_.begin(), flying_.end(), [&](const Outgoing& out) {
      return is_terminal(out.event) && message_of(out.event) == entry.second;
    });
    if (ends_now) continue;
    request.unfinished = entry.first;
    break;
  }
  request.partial = std::exchange(part_waiting_, std::nullopt);
  request.parts_dropped = std::exchange(parts_to_drop_, 0);
  caf::anon_send(services_.persistence, std::move(append));
}

void SessionActor::handle(Appended& appended) {
  if (state_ == State::broken) {  // It gave up meanwhile, for another reason.
    appending_ = false;
    return;
  }
  if (!appended.outcomes) {
    appending_ = false;
    give_up(appended.outcomes.error());
    return;
  }
  CHECK(appended.outcomes->size() == flying_.size());
  auto done = std::exchange(flying_, {});
  std::vector<RecordedEvent> told;
  told.reserve(done.size());
  for (std::size_t i = 0; i < done.size(); ++i) {
    const storage::RecordOutcome& outcome = (*appended.outcomes)[i];
    if (outcome.duplicate) continue;
    CHECK(outcome.seq == last_.seq + 1);
    last_ = {services_.store.epoch(), outcome.seq};
    told.push_back({last_, done[i].time, std::move(done[i].event)});
    count(told.back().event, outcome.seq);
  }
  if (!told.empty()) services_.sink.on_recorded(id_, told);
  // `appending_` stays set meanwhile: what these effects record leaves together, below.
  auto next = told.begin();
  for (std::size_t i = 0; i < done.size(); ++i) {
    const storage::RecordOutcome& outcome = (*appended.outcomes)[i];
    answer(done[i], outcome);
    if (!outcome.duplicate) take_effect(*next++);
  }
  for (Cancel& cancel : std::exchange(early_cancels_, {})) handle(cancel);
  if (run_ && run_->turn.ended() &&
      std::none_of(unfinished_.begin(), unfinished_.end(),
                   [&](const auto& entry) { return entry.first == run_->seq; })) {
    run_ended();
  }
  start_next();
  appending_ = false;
  flush();
}

/// Keeps the list of unfinished messages, and the metrics, in step with the log.
void SessionActor::count(const Event& event, EventSeq seq) {
  metrics::Metrics& m = metrics::get();
  if (std::holds_alternative<MessageAccepted>(event)) {
    m.messages_accepted.add();
    unfinished_.emplace_back(seq, message_of(event));
    return;
  }
  if (!is_terminal(event)) return;
  std::erase_if(unfinished_, [&](const auto& entry) { return entry.second == message_of(event); });
  if (const auto* end = std::get_if<RunEnded>(&event)) {
    (end->outcome == RunOutcome::completed ? m.runs_completed : m.runs_cancelled).add();
  } else {
    m.runs_failed.add();
  }
}

void SessionActor::answer(const Outgoing& message, const storage::RecordOutcome& outcome) {
  if (message.replies.empty()) return;
  if (outcome.duplicate && !outcome.same_content) {
    metrics::get().messages_refused.add();
    for (const auto& reply : message.replies) {
      reply(Error{Errc::already_exists,
                  "this message_id or Idempotency-Key was used with another message"});
    }
    return;
  }
  SubmitAccepted accepted{
      message.message_id, {services_.store.epoch(), outcome.seq}, outcome.duplicate};
  for (const auto& reply : message.replies) {
    if (accepted.duplicate) metrics::get().messages_duplicate.add();
    reply(accepted);
    accepted.duplicate = true;  // The others are repeats.
  }
}

void SessionActor::take_effect(RecordedEvent& recorded) {
  if (auto* message = std::get_if<MessageAccepted>(&recorded.event)) {
    accepted(*message, recorded.cursor.seq);
  } else if (auto* step = std::get_if<StepRecorded>(&recorded.event)) {
    if (run_ && run_->turn.message_id() == step->message_id) feed(agent::StepDurable{});
  } else {
    answer_cancels(message_of(recorded.event));
  }
}

void SessionActor::accepted(MessageAccepted& message, EventSeq seq) {
  const bool running = run_ != nullptr && !run_->turn.ended();
  if (running && message.on_busy == OnBusy::steer) {
    feed(agent::SteerArrived{std::move(message.message_id), std::move(message.text)});
    return;
  }
  Queued queued{seq, std::move(message.message_id), std::move(message.text), {}};
  if (running && message.on_busy == OnBusy::interrupt) {
    queue_.insert(queue_.begin(), std::move(queued));
    feed(agent::CancelAsked{});
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

void SessionActor::give_up(const Error& error) {
  state_ = State::broken;
  if (run_) {
    if (run_->call != 0) tell(services_.worker(), services_.model_proxy, CancelCall{run_->call});
    services_.sink.on_passing(id_, RunStalled{run_->turn.message_id(), error.detail});
    metrics::get().runs_active.add(-1);
    services_.directory->set_running(id_, false);
    run_.reset();
  }
  for (auto* list : {&flying_, &waiting_}) {
    for (Outgoing& out : std::exchange(*list, {})) {
      for (const auto& reply : out.replies) reply(error);
    }
  }
  for (Command& command : std::exchange(stashed_, {})) {
    std::visit([&](auto& c) { refuse(c, error); }, command);
  }
  for (auto& [id, reply] : std::exchange(cancel_waiters_, {})) reply(error);
  for (Cancel& cancel : std::exchange(early_cancels_, {})) cancel.reply(error);
  queue_.clear();
}

// ---- The turn ----

void SessionActor::start_next() {
  if (run_ || queue_.empty() || state_ != State::ready) return;
  Queued next = std::move(queue_.front());
  queue_.erase(queue_.begin());
  start_run(std::move(next), {});
}

void SessionActor::start_run(Queued message, std::string text_shown) {
  run_ = std::make_unique<Run>(
      Run{message.seq,
          agent::Turn({message.id, std::move(message.text), history_.messages(),
                       std::move(message.steps), std::move(text_shown)},
                      services_.agent_options, services_.toolbox),
          steady_now()});
  run_->text_saved_at = run_->started;
  services_.directory->set_running(id_, true);
  metrics::get().runs_active.add(1);
  carry_out(run_->turn.begin());
}

void SessionActor::feed(agent::Input input) {
  if (run_) carry_out(run_->turn.step(std::move(input)));
}

void SessionActor::carry_out(agent::Effects effects) {
  for (agent::Effect& effect : effects) {
    std::visit([this](auto& e) { carry_out(e); }, effect);
  }
  flush();
}

void SessionActor::carry_out(agent::CallModel& effect) {
  drop_saved_text();
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

void SessionActor::carry_out(agent::Record& effect) {
  drop_saved_text();  // What is recorded now replaces it.
  for (Event& event : effect.events) record(std::move(event));
}

void SessionActor::carry_out(agent::Show& effect) {
  services_.sink.on_passing(id_, effect.event);
  if (std::holds_alternative<TextDelta>(effect.event) &&
      run_->turn.text().size() - run_->text_saved >= services_.options.partial_bytes) {
    save_text();
  }
}

void SessionActor::run_ended() {
  history_.add(run_->turn.exchange());
  // What the run did not come to hear is answered after it, before what was queued later.
  auto unheard = run_->turn.take_unheard();
  run_.reset();
  services_.directory->set_running(id_, false);
  metrics::get().runs_active.add(-1);
  std::vector<Queued> again;
  for (agent::SteerArrived& steer : unheard) {
    const auto it = std::find_if(unfinished_.begin(), unfinished_.end(), [&](const auto& entry) {
      return entry.second == steer.message_id;
    });
    CHECK(it != unfinished_.end());
    again.push_back({it->first, std::move(steer.message_id), std::move(steer.text), {}});
  }
  queue_.insert(queue_.begin(), std::make_move_iterator(again.begin()),
                std::make_move_iterator(again.end()));
}

}  // namespace parlance::actors
