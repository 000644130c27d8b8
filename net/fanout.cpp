#include "net/fanout.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/check.h"
#include "base/metrics.h"
#include "dialects/step_stream.h"
#include "net/deflate.h"
#include "net/websocket_frame.h"

namespace parlance::net {

namespace step_stream = dialects::step_stream;

Frame encode_for(Wire wire, std::string_view json, std::string_view id, const Options& options) {
  switch (wire) {
    case Wire::websocket:
      break;
    case Wire::plain:
      return std::make_shared<const std::string>(json);
    case Wire::websocket_deflate:
      if (json.size() < options.deflate_bytes_min) break;
      return std::make_shared<const std::string>(
          encode_frame(Opcode::text, deflate_message(json), true));
    case Wire::sse: {
      std::string out;
      out.reserve(json.size() + id.size() + 16);
      if (!id.empty()) {
        out += "id: ";
        out += id;
        out += '\n';
      }
      out += "data: ";
      out += json;
      out += "\n\n";
      return std::make_shared<const std::string>(std::move(out));
    }
  }
  return std::make_shared<const std::string>(encode_frame(Opcode::text, json));
}

namespace {

Telling telling_of(const RecordedEvent& event) {
  return std::holds_alternative<StepRecorded>(event.event) ? Telling::step : Telling::other;
}

struct PassingTelling {
  Telling operator()(const TextDelta& /*delta*/) const { return Telling::delta; }
  Telling operator()(const TextReset& /*reset*/) const { return Telling::reset; }
  Telling operator()(const RunStalled& /*stalled*/) const { return Telling::other; }
};

/// After which nothing is left of what the log had before.
bool erases(const Event& event) {
  const auto* const changed = std::get_if<LifecycleChanged>(&event);
  return changed != nullptr && changed->state == LifecycleState::deactivated;
}

const MessageId& message_of(const PassingEvent& event) {
  return std::visit([](const auto& one) -> const MessageId& { return one.message_id; }, event);
}

}  // namespace

/// One recorded event in the forms that were asked for so far.
class Fanout::Encoded {
 public:
  Encoded(const SessionId& session, const RecordedEvent& event, const Options& options)
      : session_(session), event_(event), options_(options) {}

  const RecordedEvent& event() const { return event_; }
  const Frame& frame(Wire wire) {
    Frame& made = frames_[static_cast<std::size_t>(wire)];
    if (!made) {
      if (json_.empty()) step_stream::append_recorded(json_, session_.text, event_);
      made = encode_for(wire, json_, wire == Wire::sse ? to_string(event_.cursor) : std::string(),
                        options_);
    }
    return made;
  }

 private:
  const SessionId& session_;
  const RecordedEvent& event_;
  const Options& options_;
  std::string json_;
  std::array<Frame, kWires> frames_;
};

// ---- Subscribers ----

Subscriber::~Subscriber() {
  CHECK(channel_ == nullptr);
}

const SessionId& Subscriber::session() const noexcept {
  return *channel_->session;
}

Subscriber* SubscriberRef::get() const noexcept {
  const Fanout::Slot& slot = fanout_->slots_[slot_];
  return slot.generation == generation_ ? slot.subscriber : nullptr;
}

Fanout::Fanout(const Options& options) : options_(options) {}
Fanout::~Fanout() = default;

SubscriberRef Fanout::ref(const Subscriber& subscriber) noexcept {
  SubscriberRef ref;
  ref.fanout_ = this;
  ref.slot_ = subscriber.slot_;
  ref.generation_ = slots_[subscriber.slot_].generation;
  return ref;
}

void Fanout::attach(Subscriber& subscriber, SessionId session, const AttachOptions& options) {
  CHECK(!subscriber.attached());
  const auto place = channels_.try_emplace(std::move(session)).first;
  Channel& channel = place->second;
  channel.session = &place->first;

  if (free_slots_.empty()) {
    free_slots_.push_back(static_cast<std::uint32_t>(slots_.size()));
    slots_.emplace_back();
  }
  subscriber.slot_ = free_slots_.back();
  free_slots_.pop_back();
  slots_[subscriber.slot_].subscriber = &subscriber;

  subscriber.channel_ = &channel;
  subscriber.next_ = channel.first;
  if (channel.first != nullptr) channel.first->previous_ = &subscriber;
  channel.first = &subscriber;
  subscriber.tokens_ = options.tokens;
  subscriber.acks_ = options.acks;
  ++channel.watchers;
  ++attached_;
  metrics::get().watchers.add(1);

  if (options.after) {
    subscriber.position_ = *options.after;
    subscriber.position_known_ = true;
    subscriber.may_hold_ = options.after->seq > 0;
    subscriber.state_ = State::opening;
    read_next(subscriber);
  } else {
    go_live(subscriber);
  }
}

std::size_t Fanout::watchers(const SessionId& session) const {
  const auto channel = channels_.find(session);
  return channel == channels_.end() ? 0 : channel->second.watchers;
}

void Fanout::detach(Subscriber& subscriber) {
  if (!subscriber.attached()) return;
  Channel& channel = *subscriber.channel_;
  --channel.watchers;
  if (subscriber.previous_ != nullptr) {
    subscriber.previous_->next_ = subscriber.next_;
  } else {
    channel.first = subscriber.next_;
  }
  if (subscriber.next_ != nullptr) subscriber.next_->previous_ = subscriber.previous_;
  subscriber.previous_ = subscriber.next_ = nullptr;
  subscriber.channel_ = nullptr;
  Slot& slot = slots_[subscriber.slot_];
  slot.subscriber = nullptr;
  ++slot.generation;
  free_slots_.push_back(subscriber.slot_);
  if (channel.first == nullptr) channels_.erase(channels_.find(*channel.session));
  --attached_;
  metrics::get().watchers.add(-1);
}

// ---- What sessions tell ----

void Fanout::on_recorded(const SessionId& session, std::span<const RecordedEvent> events) {
  const auto place = channels_.find(session);
  if (place == channels_.end()) return;
  Channel& channel = place->second;
  for (const RecordedEvent& event : events) {
    const EventSeq seq = event.cursor.seq;
    channel.newest = std::max(channel.newest, seq);
    Encoded encoded(session, event, options_);
    for (Subscriber* s = channel.first; s != nullptr; s = s->next_) {
      if (s->state_ != State::live) continue;
      if (s->position_known_ && seq > s->position_.seq + 1) {
        s->state_ = State::catching_up;
        s->text_live_ = false;
        read_next(*s);
        continue;
      }
      if (loses(*s, event.event)) {
        s->state_ = State::catching_up;
        s->text_live_ = false;
        read_gap(*s);
        continue;
      }
      give(*s, encoded, Pace::live);
    }
  }
}

void Fanout::on_passing(const SessionId& session, const PassingEvent& event) {
  const auto place = channels_.find(session);
  if (place == channels_.end()) return;
  const bool needs_tokens = step_stream::needs_tokens(event);
  std::array<Frame, kWires> frames;
  for (Subscriber* s = place->second.first; s != nullptr; s = s->next_) {
    if (s->state_ == State::opening) continue;  // Its first frame says where it stands.
    if (needs_tokens && !(s->tokens_ && s->text_live_ && s->state_ == State::live)) continue;
    if (s->wire_ == Wire::plain &&
        !s->wants(std::visit(PassingTelling{}, event), message_of(event))) {
      continue;
    }
    Frame& frame = frames[static_cast<std::size_t>(s->wire_)];
    if (!frame) {
      scratch_.clear();
      step_stream::append_passing(scratch_, session.text, event);
      frame = encode_for(s->wire_, scratch_, {}, options_);
    }
    s->send(frame, 0, Pace::live);
  }
}

/// Whether the event erases what the subscriber may hold, which a gap says then.
bool Fanout::loses(const Subscriber& subscriber, const Event& event) {
  return subscriber.may_hold_ && subscriber.wire_ != Wire::plain && erases(event);
}

void Fanout::give(Subscriber& subscriber, Encoded& encoded, Pace pace) {
  const RecordedEvent& event = encoded.event();
  if (subscriber.position_known_ && event.cursor.seq <= subscriber.position_.seq) return;
  subscriber.position_ = event.cursor;
  subscriber.position_known_ = true;
  if (subscriber.replays_ && held_by_replay(subscriber, event)) return;
  if (!step_stream::shown(event.event, subscriber.acks_)) return;
  if (subscriber.wire_ == Wire::plain &&
      !subscriber.wants(telling_of(event), parlance::message_of(event.event))) {
    return;
  }
  subscriber.may_hold_ = true;
  subscriber.send(encoded.frame(subscriber.wire_), event.cursor.seq, pace);
}

void Fanout::send_json(Subscriber& subscriber, std::string_view json, std::string_view id,
                       Pace pace) {
  subscriber.send(encode_for(subscriber.wire_, json, id, options_), 0, pace);
}

// ---- Catching up ----

void Fanout::read_next(Subscriber& subscriber) {
  if (subscriber.reading_) return;
  if (subscriber.queued_bytes() > options_.catch_up_low_water_bytes) {
    subscriber.waits_for_queue_ = true;
    return;
  }
  subscriber.reading_ = true;
  gateway_->read(subscriber.session(),
                 {.after = subscriber.position_.seq,
                  .before = {},
                  .events_max = options_.catch_up_events_max,
                  .bytes_max = options_.catch_up_bytes_max},
                 [ref = ref(subscriber)](const Result<EventPage>& page) {
                   if (Subscriber* s = ref.get()) ref.fanout_->on_page(*s, page);
                 });
}

void Fanout::on_page(Subscriber& subscriber, const Result<EventPage>& page) {
  subscriber.reading_ = false;
  if (!page) return subscriber.fail(page.error());
  if (!page->events.empty() && loses(subscriber, page->events.back().event)) {
    return read_gap(subscriber);
  }
  if (subscriber.state_ == State::opening && !open_at(subscriber, *page)) {
    return read_gap(subscriber);
  }
  for (const RecordedEvent& event : page->events) {
    Encoded encoded(subscriber.session(), event, options_);
    give(subscriber, encoded, Pace::paged);
  }
  if (page->events.empty() && page->last.seq > subscriber.position_.seq) {
    return read_gap(subscriber);  // The log no longer holds what comes next.
  }
  // More may have been told since the page was read.
  go_on(subscriber, std::max(page->last.seq, subscriber.channel_->newest));
}

/// Tells where a new watcher stands; false when its cursor cannot be served.
bool Fanout::open_at(Subscriber& subscriber, const EventPage& page) {
  const Cursor from = subscriber.position_;
  const bool from_start = from == Cursor{};
  if (!from_start && (from.epoch != page.last.epoch || from.seq > page.last.seq)) return false;
  scratch_.clear();
  step_stream::append_resumed(scratch_, from, page.last);
  send_json(subscriber, scratch_, {}, Pace::paged);
  subscriber.state_ = State::catching_up;
  subscriber.position_.epoch = page.last.epoch;
  metrics::get().resumes.add();
  return true;
}

void Fanout::read_gap(Subscriber& subscriber) {
  subscriber.reading_ = true;
  gateway_->read(subscriber.session(),
                 {.before = {},
                  .from_end = true,
                  .events_max = options_.snapshot_events_max,
                  .bytes_max = options_.snapshot_bytes_max},
                 [ref = ref(subscriber)](const Result<EventPage>& page) {
                   if (Subscriber* s = ref.get()) ref.fanout_->on_gap(*s, page);
                 });
}

void Fanout::on_gap(Subscriber& subscriber, const Result<EventPage>& page) {
  subscriber.reading_ = false;
  if (!page) return subscriber.fail(page.error());
  std::string history = "[";
  step_stream::append_history(history, page->events);
  history += ']';
  scratch_.clear();
  step_stream::append_gap(scratch_, history);
  send_json(subscriber, scratch_, to_string(page->last), Pace::paged);
  subscriber.position_ = page->last;
  subscriber.position_known_ = true;
  subscriber.may_hold_ = history != "[]";
  metrics::get().gaps.add();
  go_on(subscriber, subscriber.channel_->newest);
}

/// Reads on while the log is known to hold more than the subscriber was given.
void Fanout::go_on(Subscriber& subscriber, EventSeq newest) {
  if (subscriber.position_.seq < newest) {
    subscriber.state_ = State::catching_up;
    read_next(subscriber);
  } else {
    go_live(subscriber);
  }
}

void Fanout::go_live(Subscriber& subscriber) {
  subscriber.state_ = State::live;
  if (!subscriber.tokens_) return;
  gateway_->snapshot(
      subscriber.session(), [ref = ref(subscriber)](std::optional<TextSnapshot> snapshot) {
        Subscriber* const s = ref.get();
        if (s == nullptr || s->state_ != State::live || s->text_live_) return;
        s->text_live_ = true;
        if (!snapshot || snapshot->text.empty()) return;
        if (s->wire_ == Wire::plain && !s->wants(Telling::snapshot, snapshot->message_id)) {
          return;
        }
        Fanout& self = *ref.fanout_;
        self.scratch_.clear();
        step_stream::append_snapshot(self.scratch_, s->session().text, *snapshot);
        self.send_json(*s, self.scratch_, {}, Pace::live);
      });
}

void Fanout::on_drained(Subscriber& subscriber) {
  if (subscriber.waits_for_queue_) {
    subscriber.waits_for_queue_ = false;
    if (subscriber.state_ != State::live) read_next(subscriber);
  }
  if (subscriber.replays_) read_replay(subscriber);
}

// ---- Telling a run again ----

void Fanout::replay(Subscriber& subscriber, MessageId message_id, const Cursor& accepted) {
  if (!subscriber.replays_) {
    subscriber.replays_ = std::make_unique<std::vector<Subscriber::Replay>>();
  }
  auto& replays = *subscriber.replays_;
  const EventSeq from = subscriber.acks_ && accepted.seq > 0 ? accepted.seq - 1 : accepted.seq;
  const auto same = std::find_if(replays.begin(), replays.end(), [&](const auto& replay) {
    return replay.message_id == message_id;
  });
  if (same == replays.end()) {
    if (replays.size() >= kReplaysMax) {
      const auto oldest = std::find_if(replays.begin(), replays.end(),
                                       [](const auto& replay) { return replay.done; });
      if (oldest != replays.end()) replays.erase(oldest);
    }
    replays.push_back({.message_id = std::move(message_id), .through = from});
  } else if (same->done) {
    same->newest = std::max(same->newest, same->through);
    same->through = from;
    same->done = false;
  } else {
    return subscriber.on_told(Subscriber::Told::replay);  // It is being told already.
  }
  read_replay(subscriber);
}

/// True when a replay tells `event`, or told it already.
bool Fanout::held_by_replay(Subscriber& subscriber, const RecordedEvent& event) {
  auto& replays = *subscriber.replays_;
  bool held = false;
  for (Subscriber::Replay& replay : replays) {
    if (replay.message_id != parlance::message_of(event.event)) continue;
    if (!replay.done) {
      replay.newest = std::max(replay.newest, event.cursor.seq);
      held = true;
    } else if (event.cursor.seq <= replay.through) {
      held = true;
    }
  }
  std::erase_if(replays, [&](const Subscriber::Replay& replay) {
    return replay.done && replay.through <= event.cursor.seq;
  });
  if (replays.empty()) subscriber.replays_.reset();
  return held;
}

/// Reads for the first replay that is not done; one at a time, as the queue allows.
void Fanout::read_replay(Subscriber& subscriber) {
  auto& replays = *subscriber.replays_;
  const auto current =
      std::find_if(replays.begin(), replays.end(), [](const auto& replay) { return !replay.done; });
  if (current == replays.end() || current->reading) return;
  if (subscriber.queued_bytes() > options_.catch_up_low_water_bytes) return;
  current->reading = true;
  gateway_->read(subscriber.session(),
                 {.after = current->through,
                  .before = {},
                  .events_max = options_.catch_up_events_max,
                  .bytes_max = options_.catch_up_bytes_max},
                 [ref = ref(subscriber), id = current->message_id](const Result<EventPage>& page) {
                   if (Subscriber* s = ref.get()) ref.fanout_->on_replay_page(*s, id, page);
                 });
}

void Fanout::on_replay_page(Subscriber& subscriber, const MessageId& message_id,
                            const Result<EventPage>& page) {
  if (!page) return subscriber.fail(page.error());
  auto& replays = *subscriber.replays_;
  const auto replay = std::find_if(replays.begin(), replays.end(), [&](const auto& candidate) {
    return candidate.message_id == message_id;
  });
  CHECK(replay != replays.end());
  replay->reading = false;
  for (const RecordedEvent& event : page->events) {
    replay->through = event.cursor.seq;
    if (parlance::message_of(event.event) != message_id) continue;
    if (step_stream::shown(event.event, subscriber.acks_)) {
      Encoded encoded(subscriber.session(), event, options_);
      // Not a new place in the log: its seq must not count as the last one written.
      subscriber.send(encoded.frame(subscriber.wire_), 0, Pace::paged);
    }
    if (is_terminal(event.event)) {
      replay->done = true;
      break;
    }
  }
  const bool trimmed = page->events.empty() && page->last.seq > replay->through;
  if (trimmed || replay->through >= std::max(page->last.seq, replay->newest)) replay->done = true;
  const bool done = replay->done;
  if (done && subscriber.position_known_ && replay->through <= subscriber.position_.seq) {
    replays.erase(replay);
    if (replays.empty()) subscriber.replays_.reset();
  }
  if (done) subscriber.on_told(Subscriber::Told::replay);
  if (subscriber.replays_) read_replay(subscriber);
}

void Fanout::send_history(Subscriber& subscriber) {
  gateway_->read(subscriber.session(),
                 {.before = {},
                  .from_end = true,
                  .events_max = options_.snapshot_events_max,
                  .bytes_max = options_.snapshot_bytes_max},
                 [ref = ref(subscriber)](const Result<EventPage>& page) {
                   Subscriber* const s = ref.get();
                   if (s == nullptr) return;
                   Fanout& self = *ref.fanout_;
                   self.scratch_.clear();
                   if (page) {
                     std::string history = "[";
                     step_stream::append_history(history, page->events);
                     history += ']';
                     step_stream::append_history_frame(self.scratch_, s->session().text, history);
                   } else {
                     step_stream::append_error(self.scratch_, s->session().text,
                                               page.error().detail, {});
                   }
                   self.send_json(*s, self.scratch_, {}, Pace::live);
                   s->on_told(Subscriber::Told::history);
                 });
}

}  // namespace parlance::net
