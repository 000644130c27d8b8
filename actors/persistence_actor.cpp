#include "actors/persistence_actor.h"

#include <chrono>
#include <utility>

#include <caf/send.hpp>

#include "base/check.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/thread.h"

namespace parlance::actors {
namespace {

/// What clients are told: the engine's own words name files of this machine.
Error without_detail(const Error& error) {
  return {error.code,
          "the store cannot be written; it refuses writes until the server is restarted"};
}

}  // namespace

PersistenceActor::PersistenceActor(caf::actor_config& config, storage::Store& store,
                                   const Options& options)
    : PersistenceHandle::base(config), store_(store), options_(options) {}

PersistenceActor::behavior_type PersistenceActor::make_behavior() {
  name_thread("persistence");
  set_error_handler([](caf::error& /*error*/) {});
  // Without this actor every session would wait for ever; a restart goes on from the log.
  set_exception_handler([](std::exception_ptr& /*thrown*/) -> caf::error {
    check_failed("no exception in the persistence actor", __FILE__, __LINE__);
  });
  const auto flush_later = [this] {
    if (flush_sent_ || (waiting_.empty() && catalog_.empty())) return;
    flush_sent_ = true;
    caf::anon_send(PersistenceHandle{this}, Flush{});
  };
  return {
      [this, flush_later](Append& append) {
        waiting_.push_back(std::move(append));
        flush_later();
      },
      [this, flush_later](ChangeCatalog& change) {
        catalog_.push_back(std::move(change));
        flush_later();
      },
      [this](WritePassages& write) { write.done(store_.write_passages(write.batch)); },
      [this](const DropBegunSet& drop) {
        const Status dropped = store_.drop_begun_set(drop.begun);
        if (!dropped) {
          log::warn("an unfinished set of documents stays until the next start session={} why={}",
                    drop.begun.session.text, log::value(dropped.error().detail));
        }
      },
      [this, flush_later](const Flush&) {
        flush_sent_ = false;
        if (!waiting_.empty()) commit_group();
        if (!catalog_.empty()) commit_catalog();
        flush_later();
      },
  };
}

void PersistenceActor::commit_group() {
  std::vector<storage::AppendRequest> group;
  std::vector<SessionHandle> sessions;
  std::size_t bytes = 0;
  std::size_t records = 0;
  while (!waiting_.empty() && group.size() < options_.group_requests_max &&
         (group.empty() || bytes + waiting_.front().request.bytes() <= options_.group_bytes_max)) {
    Append& next = waiting_.front();
    bytes += next.request.bytes();
    records += next.request.records.size();
    group.push_back(std::move(next.request));
    sessions.push_back(std::move(next.session));
    waiting_.pop_front();
  }
  const bool refused_before = store_.refuses_writes();
  const auto started = std::chrono::steady_clock::now();
  auto outcomes = store_.append(group);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started;
  metrics::Metrics& m = metrics::get();
  if (!outcomes) {
    m.commit_failures.add();
    if (!refused_before) {
      log::error("the store refuses writes from now on; mend the disk and restart why={}",
                 log::value(outcomes.error().detail));
    }
    const Error told = without_detail(outcomes.error());
    for (const SessionHandle& session : sessions) caf::anon_send(session, Appended{told});
    return;
  }
  m.commits.add();
  m.records_committed.add(static_cast<double>(records));
  m.commit_seconds.observe(took.count());
  m.commit_records.observe(static_cast<double>(records));
  for (std::size_t i = 0; i < sessions.size(); ++i) {
    storage::AppendOutcome& outcome = (*outcomes)[i];
    if (!outcome) {
      log::error("a session cannot be written session={} why={}", group[i].session.text,
                 log::value(outcome.error().detail));
    }
    caf::anon_send(sessions[i], Appended{std::move(outcome)});
  }
}

void PersistenceActor::commit_catalog() {
  std::vector<ChangeCatalog> group = std::exchange(catalog_, {});
  std::vector<storage::CatalogChange> changes;
  changes.reserve(group.size());
  for (ChangeCatalog& each : group) changes.push_back(std::move(each.change));
  const bool refused_before = store_.refuses_writes();
  auto outcomes = store_.change_catalog(changes);
  if (!outcomes && !refused_before) {
    log::error("agents and sessions cannot be changed why={}", log::value(outcomes.error().detail));
  }
  for (std::size_t i = 0; i < group.size(); ++i) {
    outcomes ? group[i].done(std::move((*outcomes)[i]))
             : group[i].done(without_detail(outcomes.error()));
  }
}

}  // namespace parlance::actors
