#include "actors/session_log.h"

#include <algorithm>

#include "base/check.h"
#include "schemas/codec.h"

namespace parlance::actors {
namespace {

bool accepts(const SessionLog::Entry& entry) {
  return !entry.refusal && std::holds_alternative<MessageAccepted>(entry.event);
}

}  // namespace

void SessionLog::restore(Cursor last, std::uint32_t parts_kept) {
  last_ = last;
  parts_ = parts_kept;
}

// ---- What joins the next append ----

void SessionLog::record(Event event) {
  Entry& entry = waiting_.emplace_back();
  entry.time = wall_now();
  entry.record.bytes = encode(event, entry.time);
  entry.event = std::move(event);
}

void SessionLog::record(Event event, std::string key, Landing landed) {
  record(std::move(event));
  waiting_.back().record.idempotency_key = std::move(key);
  waiting_.back().landed = std::move(landed);
}

void SessionLog::change_beside(storage::Beside change, Landing landed) {
  if (!beside_waiting_) beside_waiting_ = std::make_unique<BesideLog>();
  storage::Beside& all = beside_waiting_->change;
  if (change.client) all.client = std::move(change.client);
  if (change.begun_set) all.begun_set = change.begun_set;
  if (change.stored_set) all.stored_set = std::move(change.stored_set);
  if (change.dropped_set) all.dropped_set = change.dropped_set;
  all.erase = all.erase || change.erase;
  if (landed) beside_waiting_->landed.push_back(std::move(landed));
}

SessionLog::Entry& SessionLog::add(SubmitMessage message, SessionGateway::SubmitReply reply) {
  MessageId id = message.message_id;
  record(MessageAccepted{std::move(message.message_id), std::move(message.text), message.on_busy,
                         std::move(message.retry_of), std::move(message.voice)});
  Entry& entry = waiting_.back();
  entry.record.message_id = id.text;
  entry.record.idempotency_key = std::move(message.idempotency_key);
  entry.record.drawn_id = message.drawn_id;
  entry.message_id = std::move(id);
  entry.replies.push_back(std::move(reply));
  return entry;
}

void SessionLog::record(SubmitMessage message, SessionGateway::SubmitReply reply) {
  add(std::move(message), std::move(reply));
}

void SessionLog::refuse_unless_known(SubmitMessage message, SessionGateway::SubmitReply reply,
                                     Error refusal) {
  Entry& entry = add(std::move(message), std::move(reply));
  entry.record.only_if_known = true;
  entry.refusal = std::move(refusal);
}

void SessionLog::keep_text(const MessageId& message, const std::string& text) {
  if (text.size() == text_kept_) return;
  if (!part_waiting_) {
    if (parts_ == 0) parts_ = 1;
    part_waiting_ = storage::PartialText{message, parts_++, {}};
  }
  part_waiting_->text.append(text, text_kept_);
  text_kept_ = text.size();
}

void SessionLog::drop_text() {
  parts_to_drop_ = std::max(parts_to_drop_, parts_);
  parts_ = 0;
  part_waiting_.reset();
  text_kept_ = 0;
}

// ---- Appending ----

std::optional<storage::AppendRequest> SessionLog::start_append(const SessionId& session) {
  if (appending_ || quiet()) return std::nullopt;
  appending_ = true;
  flying_.swap(waiting_);
  storage::AppendRequest request;
  request.session = session;
  request.last = last_.seq;
  request.records.reserve(flying_.size());
  for (Entry& entry : flying_) request.records.push_back(std::move(entry.record));
  if (!unfinished_.empty()) request.unfinished_before = unfinished_.front().first;
  for (const auto& message : unfinished_) {
    const bool ends_now = std::any_of(flying_.begin(), flying_.end(), [&](const Entry& entry) {
      return is_terminal(entry.event) && message_of(entry.event) == message.second;
    });
    if (ends_now) continue;
    request.unfinished = message.first;
    break;
  }
  if (beside_waiting_) {
    request.beside = std::move(beside_waiting_->change);
    beside_flying_ = std::move(beside_waiting_->landed);
    beside_waiting_.reset();
  }
  request.partial = std::exchange(part_waiting_, std::nullopt);
  request.parts_dropped = std::exchange(parts_to_drop_, 0);
  return request;
}

SessionLog::Landed SessionLog::land(std::span<const storage::RecordOutcome> outcomes,
                                    std::uint64_t epoch) {
  CHECK(appending_ && outcomes.size() == flying_.size());
  std::vector<Entry> flown = std::exchange(flying_, {});  // An idle session keeps no memory of it.
  Landed landed;
  landed.beside = std::exchange(beside_flying_, {});
  landed.told.reserve(flown.size());
  landed.entries.reserve(flown.size());
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    Entry& entry = flown[i];
    if (outcomes[i].recorded()) {
      CHECK(outcomes[i].seq == last_.seq + 1);
      last_ = {epoch, outcomes[i].seq};
      const MessageId& id = message_of(entry.event);
      if (std::holds_alternative<MessageAccepted>(entry.event)) {
        unfinished_.emplace_back(last_.seq, id);
      } else if (is_terminal(entry.event)) {
        std::erase_if(unfinished_, [&](const auto& each) { return each.second == id; });
      }
      landed.told.push_back({last_, entry.time, std::move(entry.event)});
    }
    landed.entries.emplace_back(std::move(entry), outcomes[i]);
  }
  return landed;
}

std::vector<SessionLog::Entry> SessionLog::abandon() {
  std::vector<Entry> out = std::move(flying_);
  out.insert(out.end(), std::make_move_iterator(waiting_.begin()),
             std::make_move_iterator(waiting_.end()));
  flying_.clear();
  waiting_.clear();
  return out;
}

std::vector<SessionLog::Landing> SessionLog::abandon_beside() {
  std::vector<Landing> out = std::exchange(beside_flying_, {});
  if (beside_waiting_) {
    for (Landing& landed : beside_waiting_->landed) out.push_back(std::move(landed));
    beside_waiting_.reset();
  }
  return out;
}

// ---- What is known ----

SessionLog::Entry* SessionLog::find(const MessageId& id) {
  for (auto* list : {&flying_, &waiting_}) {
    for (Entry& entry : *list) {
      if (accepts(entry) && entry.message_id == id) return &entry;
    }
  }
  return nullptr;
}

bool SessionLog::retries(const MessageId& root) const {
  const auto is_retry = [&](const Entry& entry) {
    return accepts(entry) && std::get<MessageAccepted>(entry.event).retry_of == root;
  };
  return std::any_of(flying_.begin(), flying_.end(), is_retry) ||
         std::any_of(waiting_.begin(), waiting_.end(), is_retry);
}

std::size_t SessionLog::count_accepting() const {
  return static_cast<std::size_t>(std::count_if(flying_.begin(), flying_.end(), accepts) +
                                  std::count_if(waiting_.begin(), waiting_.end(), accepts));
}

bool SessionLog::recording() const {
  const auto recorded = [](const Entry& entry) { return !entry.refusal; };
  return std::any_of(flying_.begin(), flying_.end(), recorded) ||
         std::any_of(waiting_.begin(), waiting_.end(), recorded);
}

bool SessionLog::is_unfinished(EventSeq seq) const {
  return std::any_of(unfinished_.begin(), unfinished_.end(),
                     [&](const auto& each) { return each.first == seq; });
}

EventSeq SessionLog::place_of(const MessageId& id) const {
  for (const auto& [seq, each] : unfinished_) {
    if (each == id) return seq;
  }
  return 0;
}

}  // namespace parlance::actors
