#include "actors/session_directory.h"

#include <fmt/format.h>

#include "actors/core_services.h"
#include "actors/session_actor.h"
#include "base/metrics.h"

namespace parlance::actors {

SessionDirectory::SessionDirectory(caf::actor_system& system, CoreServices& services,
                                   std::atomic<std::size_t>& awake_in_node)
    : system_(system), services_(services), awake_in_node_(awake_in_node) {}

SessionDirectory::~SessionDirectory() = default;

SessionDirectory::Sessions::iterator SessionDirectory::wake(const SessionId& id) {
  const auto it = sessions_.try_emplace(id).first;
  it->second.actor = system_.spawn<SessionActor, caf::lazy_init>(id, services_);
  it->second.place = by_use_.insert(by_use_.end(), &it->first);
  ++alive_;
  awake_in_node_.fetch_add(1, std::memory_order_relaxed);
  metrics::get().sessions_awake.add(1);
  metrics::get().session_wakes.add();
  return it;
}

Result<SessionDirectory::Sessions::iterator> SessionDirectory::find_or_wake(const SessionId& id) {
  const auto it = sessions_.find(id);
  if (it != sessions_.end()) return it;
  const std::size_t limit = services_.options.sessions_awake_max;
  if (awake_in_node_.load(std::memory_order_relaxed) >= limit) {
    return Error{Errc::resource_exhausted,
                 fmt::format("{} sessions are active, the limit (sessions_awake_max); try again "
                             "when some are idle",
                             limit)};
  }
  return wake(id);
}

template <class Command>
Status SessionDirectory::tell_session(const SessionId& id, Command command) {
  const auto it = find_or_wake(id);
  if (!it) return it.error();
  Entry& entry = (*it)->second;
  ++entry.sent;
  entry.used = std::chrono::steady_clock::now();
  by_use_.splice(by_use_.end(), by_use_, entry.place);
  tell(services_.worker(), entry.actor, std::move(command));
  return {};
}

template Status SessionDirectory::tell_session(const SessionId&, Submit);
template Status SessionDirectory::tell_session(const SessionId&, Cancel);
template Status SessionDirectory::tell_session(const SessionId&, Ping);
template Status SessionDirectory::tell_session(const SessionId&, ChangeLifecycle);
template Status SessionDirectory::tell_session(const SessionId&, Store);
template Status SessionDirectory::tell_session(const SessionId&, AwaitEnd);

bool SessionDirectory::tell_if_awake(const SessionId& id, Snapshot command) {
  const auto it = sessions_.find(id);
  if (it == sessions_.end()) return false;
  ++it->second.sent;
  tell(services_.worker(), it->second.actor, std::move(command));
  return true;
}

void SessionDirectory::recover(const SessionId& id) {
  if (sessions_.contains(id)) return;
  Entry& entry = wake(id)->second;
  ++entry.sent;
  entry.used = std::chrono::steady_clock::now();
  tell(services_.worker(), entry.actor, Wake{});
}

void SessionDirectory::set_running(const SessionId& id, bool running) {
  if (!running) return stop_running(id);
  const auto [it, added] = running_.try_emplace(id);
  if (added) it->second = by_start_.insert(by_start_.end(), &it->first);
}

void SessionDirectory::stop_running(const SessionId& id) {
  const auto it = running_.find(id);
  if (it == running_.end()) return;
  by_start_.erase(it->second);
  running_.erase(it);
}

CoreActivity SessionDirectory::activity(std::size_t rows_max) const {
  const auto actor_of = [](const Entry& entry) {
    return static_cast<const SessionActor*>(caf::actor_cast<caf::abstract_actor*>(entry.actor));
  };
  CoreActivity out{.runs = running_.size(), .sessions_awake = sessions_.size()};
  for (const SessionId* id : by_start_) {
    if (out.oldest_runs.size() == rows_max) break;
    const auto it = sessions_.find(*id);
    if (it == sessions_.end()) continue;
    if (auto run = actor_of(it->second)->view_run()) out.oldest_runs.push_back(std::move(*run));
  }
  const SteadyTime now = std::chrono::steady_clock::now();
  const WallTime wall = wall_now();
  for (auto id = by_use_.rbegin(); id != by_use_.rend(); ++id) {
    if (out.last_used.size() == rows_max) break;
    const Entry& entry = sessions_.find(**id)->second;
    SessionView& view = out.last_used.emplace_back(actor_of(entry)->view());
    view.used = {wall.ms -
                 std::chrono::duration_cast<std::chrono::milliseconds>(now - entry.used).count()};
  }
  return out;
}

bool SessionDirectory::let_sleep(const SessionId& id, std::uint64_t handled) {
  const auto it = sessions_.find(id);
  if (it == sessions_.end() || it->second.sent != handled) return false;
  remove(it);
  metrics::get().session_sleeps.add();
  return true;
}

void SessionDirectory::forget(const SessionId& id, const caf::abstract_actor* actor) {
  --alive_;
  const auto it = sessions_.find(id);
  if (it == sessions_.end()) return;
  if (caf::actor_cast<caf::abstract_actor*>(it->second.actor) != actor) return;
  stop_running(id);
  remove(it);
}

void SessionDirectory::remove(Sessions::iterator it) {
  by_use_.erase(it->second.place);
  sessions_.erase(it);
  awake_in_node_.fetch_sub(1, std::memory_order_relaxed);
  metrics::get().sessions_awake.add(-1);
}

void SessionDirectory::sweep(SteadyTime now) {
  // Buckets are the shares. Where the table grew meanwhile, a session is ticked twice in a round or
  // not at all: it only looks at the time.
  const std::size_t share = sweeps_++ % kSweepsPerRound;
  const std::size_t buckets = running_.bucket_count();
  const std::size_t end = buckets * (share + 1) / kSweepsPerRound;
  for (std::size_t bucket = buckets * share / kSweepsPerRound; bucket < end; ++bucket) {
    for (auto id = running_.begin(bucket); id != running_.end(bucket); ++id) {
      const auto it = sessions_.find(id->first);
      if (it != sessions_.end()) tell(services_.worker(), it->second.actor, Tick{now});
    }
  }
  // A bound per sweep keeps the core's sockets served while a crowd goes to sleep.
  constexpr int kNapsPerSweep = 400;
  int naps = 0;
  for (auto it = by_use_.begin(); it != by_use_.end() && naps < kNapsPerSweep; ++naps) {
    Entry& entry = sessions_.find(**it)->second;
    if (now - entry.used < services_.options.idle_timeout) break;
    // One that is still busy is asked again when it has been unused for as long once more.
    entry.used = now;
    const auto place = it++;
    by_use_.splice(by_use_.end(), by_use_, place);
    tell(services_.worker(), entry.actor, Nap{});
  }
}

void SessionDirectory::stop() {
  for (auto& [id, entry] : sessions_) {
    caf::anon_send_exit(entry.actor, caf::exit_reason::user_shutdown);
  }
  awake_in_node_.fetch_sub(sessions_.size(), std::memory_order_relaxed);
  by_use_.clear();
  sessions_.clear();
  running_.clear();
  by_start_.clear();
}

}  // namespace parlance::actors
