// The part of a session's actor that takes up what its log holds when it wakes: the conversation so
// far, the messages that have no end, and the run that a crash, or a sleep, has cut off.
#include <algorithm>

#include "actors/core_services.h"
#include "actors/session_actor.h"
#include "base/metrics.h"

namespace parlance::actors {

void SessionActor::restore(storage::SessionImage& image) {
  log_.restore(image.last, image.partial_parts);
  if (!image.events.empty()) note_last(image.events.back());
  if (image.client) client_ = std::make_unique<Client>(std::move(*image.client));
  struct Found {
    EventSeq seq;
    MessageId id;
    std::string text;
    std::vector<StepRecorded> steps;
    OnBusy on_busy = OnBusy::queue;
    MessageId retry_of;
    std::shared_ptr<const VoiceInput> voice;
    std::string answer_name;
    bool ended = false;
  };
  std::vector<Found> found;
  for (RecordedEvent& recorded : image.events) {
    if (auto* message = std::get_if<MessageAccepted>(&recorded.event)) {
      found.push_back({recorded.cursor.seq,
                       std::move(message->message_id),
                       std::move(message->text),
                       {},
                       message->on_busy,
                       std::move(message->retry_of),
                       std::move(message->voice),
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
      if (step->type == StepType::final_answer) it->answer_name = name_of_answer(recorded);
      it->steps.push_back(std::move(*step));
    } else if (is_terminal(recorded.event)) {
      it->ended = true;
    }
  }
  for (Found& f : found) {
    if (!f.ended) {
      log_.add_unfinished(f.seq, f.id);
      queue_.push_back({f.seq, std::move(f.id), std::move(f.text), std::move(f.steps), f.on_busy,
                        std::move(f.retry_of), std::move(f.voice), std::move(f.answer_name)});
      continue;
    }
    std::vector<ChatMessage> exchange;
    exchange.push_back({Role::user, std::move(f.text), {}, ""});
    for (const StepRecorded& step : f.steps) agent::append_step(exchange, step);
    history_.add(f.retry_of.text.empty() ? f.id : f.retry_of, std::move(exchange));
  }
}

/// The message that ran without having left a trace, when another came to interrupt it, and whose
/// end was not recorded any more; the end of the queue if there is none. That is in the order of
/// the log.
std::vector<SessionActor::Queued>::iterator SessionActor::find_interrupted(
    const storage::SessionImage& image) {
  EventSeq last_end = 0;
  for (const RecordedEvent& recorded : image.events) {
    if (is_terminal(recorded.event)) last_end = recorded.cursor.seq;
  }
  const auto interrupts = [](const Queued& q) { return q.on_busy == OnBusy::interrupt; };
  const auto newest = std::find_if(queue_.rbegin(), queue_.rend(), interrupts);
  if (newest == queue_.rend() || newest->seq < last_end) return queue_.end();
  // One whose own interruption was recorded was next after that; else the oldest ran.
  const auto earlier = std::find_if(std::next(newest), queue_.rend(), [&](const Queued& q) {
    return interrupts(q) && q.seq < last_end;
  });
  const auto ran = earlier == queue_.rend() ? queue_.begin() : std::prev(earlier.base());
  return ran->seq < newest->seq ? ran : queue_.end();
}

/// Goes on with what a crash, or a sleep before it ended, left unfinished.
void SessionActor::go_on(storage::SessionImage& image) {
  if (queue_.empty()) return;
  if (services_.store.refuses_writes()) {
    state_ = State::broken;
    broken_ = std::make_unique<Error>(
        Error{Errc::unavailable, "the store refuses writes; nothing can be accepted"});
    return;
  }
  metrics::get().runs_recovered.add(static_cast<double>(queue_.size()));
  // The one that was running goes on first: it has text or steps.
  auto first = std::find_if(queue_.begin(), queue_.end(), [&](const Queued& q) {
    return image.partial_parts > 0 && q.id == image.partial_message;
  });
  if (first == queue_.end()) {
    first = std::find_if(queue_.begin(), queue_.end(),
                         [](const Queued& q) { return !q.steps.empty(); });
  }
  if (first == queue_.end()) first = find_interrupted(image);
  const bool was_running = first != queue_.end();
  if (was_running) std::rotate(queue_.begin(), first, first + 1);
  // What came to interrupt is next, the last of it first, as it was before.
  const auto waiting = queue_.begin() + (was_running ? 1 : 0);
  const auto later = std::stable_partition(waiting, queue_.end(), [](const Queued& queued) {
    return queued.on_busy == OnBusy::interrupt;
  });
  std::reverse(waiting, later);
  const bool interrupted = was_running && waiting != later && waiting->seq > queue_.front().seq;
  std::string text;
  if (image.partial_parts > 0 && queue_.front().id == image.partial_message) {
    text = std::move(image.partial_text);
  }
  log_.drop_text();
  Queued next = std::move(queue_.front());
  queue_.erase(queue_.begin());
  start_run(std::move(next), std::move(text));
  if (interrupted) feed(agent::CancelAsked{});
}

}  // namespace parlance::actors
