// The part of a session's actor that belongs to its client: the session's life, and the documents
// that are stored in it. One store at a time: a worker makes passages of the documents, the set is
// begun in the log, a worker writes the passages, and the set is there with one more append.
#include <algorithm>

#include <fmt/format.h>

#include "actors/core_services.h"
#include "actors/document_intake.h"
#include "actors/retrieval_loop.h"
#include "actors/session_actor.h"
#include "actors/speech_loop.h"
#include "actors/worker_actor.h"
#include "agent/lifecycle.h"
#include "base/check.h"

namespace parlance::actors {
namespace {

/// Requests to store that wait behind one another, per session.
constexpr std::size_t kStoresMax = 16;
constexpr std::size_t kEndWaitersMax = 1'024;

}  // namespace

// ---- The session's life ----

void SessionActor::handle(ChangeLifecycle& change) {
  const bool removes =
      change.command == LifecycleCommand::remove || change.command == LifecycleCommand::remove_chat;
  if (removes && closing() && client_->record.state == LifecycleState::deactivated) {
    // It is gone only once that is durable.
    client_->closing.push_back({LifecycleState::deactivated, std::move(change.reply)});
    return;
  }
  const Result<LifecycleState> next = agent::next_state(client(), change.command);
  if (!next) return change.reply(next.error());
  switch (change.command) {
    case LifecycleCommand::remove_chat:
      if (log_.empty() && log_.quiet()) {
        return change.reply(Error{Errc::not_found, "there is no such chat"});
      }
      // From here on it is as a session of the platform that is deleted: nobody's, and refused.
      client_ = std::make_unique<Client>(ClientRecord{
          .scope = Scope::platform, .state = *next, .secret_hash = {}, .created_at = wall_now()});
      return begin_close(*next, std::move(change.reply));
    case LifecycleCommand::close:
    case LifecycleCommand::expire:
    case LifecycleCommand::remove:
      return begin_close(*next, std::move(change.reply));
    case LifecycleCommand::authorize:
      CHECK(change.client);
      client_ = std::make_unique<Client>(std::move(*change.client));
      break;
    case LifecycleCommand::reauthorize:
    case LifecycleCommand::check:
    case LifecycleCommand::initialize:
      if (*next == client_->record.state) return change.reply({});
      break;
  }
  record_lifecycle(*next, std::move(change.reply));
}

void SessionActor::record_lifecycle(LifecycleState state, SessionGateway::StatusReply reply) {
  client_->record.state = state;
  storage::Beside beside;
  beside.client = client_->record;
  log_.change_beside(std::move(beside), {});
  log_.record(LifecycleChanged{state}, {}, std::move(reply));
  flush();
}

/// The runs end first, so that every message has its terminal event.
void SessionActor::begin_close(LifecycleState state, SessionGateway::StatusReply reply) {
  client_->record.state = state;
  client_->closing.push_back({state, std::move(reply)});
  if (client_->wanted) client_->wanted->store(false);
  const Error closed{Errc::failed_precondition, "the session was closed meanwhile"};
  while (client_->stores.size() > (client_->wanted ? 1 : 0)) {
    client_->stores.back().reply(closed);
    client_->stores.pop_back();
  }
  if (run_ && !run_->turn.ended()) feed(agent::CancelAsked{});
  go_on_closing();
  flush();
}

void SessionActor::cancel_queue() {
  for (Queued& queued : std::exchange(queue_, {})) {
    log_.record(RunEnded{std::move(queued.id), RunOutcome::cancelled, {}});
  }
}

void SessionActor::go_on_closing() {
  cancel_queue();
  const bool quiet = !run_ && !log_.recording() && log_.count_unfinished() == 0;
  if (!quiet || client_->wanted || client_->close_recorded) return;
  client_->close_recorded = true;
  storage::Beside beside;
  beside.client = client_->record;
  beside.erase = client_->record.state == LifecycleState::deactivated;
  if (beside.erase && services_.retrieval.remote()) beside.begun_set = storage::kWholeSession;
  log_.change_beside(std::move(beside), {});
  const LifecycleState state = client_->record.state;
  log_.record(LifecycleChanged{state}, {}, [this, state](const Status& status) {
    if (!status || state != LifecycleState::deactivated) return closed(status, state);
    history_ = agent::History(services_.agent_options.history_bytes_max);
    services_.retrieval.erase(id_);
    if (client_->record.scope != Scope::platform) return closed(status, state);
    services_.speech.erase(id_, [session = SessionHandle{this}](const Status& erased) {
      caf::anon_send(session, AudioErased{erased});
    });
  });
}

void SessionActor::closed(const Status& status, LifecycleState recorded) {
  client_->close_recorded = false;
  // One who wants it removed came while its close was written: that is still to be done.
  const bool done = !status || recorded == LifecycleState::deactivated;
  for (Client::Closing& each : std::exchange(client_->closing, {})) {
    if (done || each.wanted == recorded) {
      each.reply(status);
    } else {
      client_->closing.push_back(std::move(each));
    }
  }
}

void SessionActor::handle(AwaitEnd& await) {
  if (log_.find(await.message) == nullptr && !log_.is_unfinished(await.message)) {
    return await.reply({});
  }
  if (end_waiters_.size() >= kEndWaitersMax) {
    return await.reply(Error{Errc::resource_exhausted,
                             "too many wait for answers of this session; ask again later"});
  }
  if (await.on_speech && run_ && run_->speech != 0 && run_->spoken.bytes > 0 &&
      await.message == run_->turn.message_id()) {
    await.on_speech(run_->spoken);
  }
  end_waiters_.push_back(std::move(await));
}

// ---- Documents ----

void SessionActor::handle(Store& store) {
  if (const Status fits = agent::takes_work(client()); !fits) return store.reply(fits.error());
  if (client_->stores.size() >= kStoresMax) {
    return store.reply(Error{Errc::resource_exhausted,
                             fmt::format("{} requests to store wait in this session already, the "
                                         "limit; send it again when one of them has ended",
                                         kStoresMax)});
  }
  client_->stores.push_back(std::move(store));
  start_store();
}

void SessionActor::start_store() {
  if (client_->wanted || client_->stores.empty() || closing()) return;
  client_->wanted = std::make_shared<std::atomic<bool>>(true);
  StoreDocuments& command = client_->stores.front().command;
  auto documents = std::make_shared<StoreDocuments>(std::exchange(command, {}));
  command.digest = documents->digest;  // Still needed at the end; the content is not.
  command.idempotency_key = documents->idempotency_key;
  const bool taken =
      services_.intake_workers.run([&intake = services_.intake, session = id_, documents,
                                    wanted = client_->wanted, self = SessionHandle{this}] {
        caf::anon_send(self, DocumentsPrepared{intake.prepare(session, *documents, *wanted)});
      });
  if (taken) return;
  end_store(Error{Errc::resource_exhausted,
                  "too many documents wait to be read; send them again a little later"});
}

void SessionActor::handle(DocumentsPrepared& m) {
  if (!client_ || !client_->wanted) return;  // It gave up meanwhile.
  if (!m.prepared) return end_store(m.prepared.error());
  if (!m.prepared->set) return end_store(std::move(m.prepared->replay));
  if (closing()) return end_store(Error{Errc::failed_precondition, "the session was closed"});
  client_->prepared = std::move(m.prepared->set);
  storage::Beside beside;
  beside.begun_set = ++client_->record.last_set;
  beside.client = client_->record;
  log_.change_beside(std::move(beside), [this](const Status& begun) { write_set(begun); });
  flush();
}

void SessionActor::write_set(const Status& begun) {
  if (!begun) return;  // Everything is given up, this too.
  const bool taken = services_.intake_workers.run(
      [&intake = services_.intake, session = id_, set = client_->record.last_set,
       prepared = client_->prepared, wanted = client_->wanted, self = SessionHandle{this}] {
        caf::anon_send(self, DocumentsWritten{intake.write(session, set, *prepared, *wanted)});
      });
  if (taken) return;
  DocumentsWritten refused{Error{Errc::resource_exhausted,
                                 "too many documents wait to be written; send them again later"}};
  handle(refused);
}

void SessionActor::handle(DocumentsWritten& m) {
  if (!client_ || !client_->wanted) return;
  const std::shared_ptr<const PreparedSet> prepared = std::move(client_->prepared);
  Status status = std::move(m.status);
  if (status && closing()) status = Error{Errc::failed_precondition, "the session was closed"};
  storage::Beside beside;
  if (!status) {
    beside.dropped_set = client_->record.last_set;
    services_.retrieval.clean_up(id_, client_->record.last_set);
    log_.change_beside(std::move(beside), [this, error = status.error()](const Status&) {
      if (client_->wanted) end_store(error);
    });
    return flush();
  }
  DocumentSet set = prepared->set;
  set.number = client_->record.last_set;
  set.stored_at = wall_now();
  DocumentsAccepted accepted{set.tools, {}, false};
  for (const Document& document : set.documents) accepted.document_ids.push_back(document.id);
  StoreDocuments& command = client_->stores.front().command;
  DocumentsStored event{set.number, std::move(command.digest), set.tools, accepted.document_ids};
  beside.stored_set = std::move(set);
  log_.change_beside(std::move(beside), {});
  log_.record(std::move(event), std::move(command.idempotency_key),
              [this, accepted = std::move(accepted)](const Status& stored) {
                if (stored && client_->wanted) end_store(accepted);
              });
  flush();
}

void SessionActor::end_store(Result<DocumentsAccepted> result) {
  client_->wanted.reset();
  client_->prepared.reset();
  const auto reply = std::move(client_->stores.front().reply);
  client_->stores.erase(client_->stores.begin());
  reply(std::move(result));
  if (closing()) {
    go_on_closing();
    flush();
  }
  start_store();
}

void SessionActor::give_up_client(const Error& error) {
  if (!client_) return;
  if (client_->wanted) client_->wanted->store(false);
  client_->wanted.reset();
  client_->prepared.reset();
  for (const Client::Closing& each : std::exchange(client_->closing, {})) each.reply(error);
  for (Store& store : std::exchange(client_->stores, {})) store.reply(error);
}

}  // namespace parlance::actors
