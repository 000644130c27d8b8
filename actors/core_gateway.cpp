#include "actors/core_gateway.h"

#include <memory>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include "base/metrics.h"

namespace parlance::actors {
namespace {

Error stopping_error() {
  return {Errc::unavailable, "the server is stopping; send it again after the restart"};
}

/// FNV-1a: the same on every build, so that a session keeps its core across restarts.
std::uint64_t hash_of(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return hash ^ hash >> 32;
}

}  // namespace

CoreGateway::CoreGateway(caf::actor_system& system, CoreServices& services, NodeState& node,
                         const std::vector<CoreGateway*>& all)
    : system_(system),
      services_(services),
      node_(node),
      all_(all),
      directory_(system, services, node.sessions_awake) {
  services_.directory = &directory_;
}

std::size_t CoreGateway::home_of(const SessionId& session) const {
  return hash_of(session.text) % all_.size();
}

template <class Work>
void CoreGateway::at_home(const SessionId& session, Work work) {
  const std::size_t home = home_of(session);
  if (home == services_.core) {
    work(*this);
  } else {
    services_.scheduler.post(home,
                             [gateway = all_[home], work = std::move(work)] { work(*gateway); });
  }
}

template <class... Args>
std::function<void(Args...)> CoreGateway::back_here(std::function<void(Args...)> reply) {
  return [&scheduler = services_.scheduler, core = services_.core,
          reply = std::move(reply)](Args... args) {
    if (scheduler.current_core() == core) {
      reply(std::move(args)...);
      return;
    }
    auto carried = std::make_shared<std::tuple<Args...>>(std::move(args)...);
    scheduler.post(core, [reply, carried] { std::apply(reply, std::move(*carried)); });
  };
}

void CoreGateway::submit(const SessionId& session, SubmitMessage command, SubmitReply reply) {
  if (stopping()) {
    metrics::get().messages_refused.add();
    reply(stopping_error());
    return;
  }
  at_home(session, [session, command = std::move(command),
                    reply = back_here(std::move(reply))](CoreGateway& home) {
    const Status told = home.directory_.tell_session(session, Submit{command, reply});
    if (!told) reply(told.error());
  });
}

void CoreGateway::cancel(const SessionId& session, CancelMessage command, StatusReply reply) {
  at_home(session, [session, command = std::move(command),
                    reply = back_here(std::move(reply))](CoreGateway& home) {
    const Status told = home.directory_.tell_session(session, Cancel{command, reply});
    if (!told) reply(told.error());
  });
}

void CoreGateway::ping(const SessionId& session, std::string data, PingReply reply) {
  if (home_of(session) == services_.core) {
    // The common case, kept free of copies.
    const Status told = directory_.tell_session(session, Ping{std::move(data), reply});
    if (!told) reply(told.error(), {});
    return;
  }
  at_home(session, [session, data = std::move(data),
                    reply = back_here(std::move(reply))](CoreGateway& home) {
    const Status told = home.directory_.tell_session(session, Ping{data, reply});
    if (!told) reply(told.error(), {});
  });
}

void CoreGateway::snapshot(const SessionId& session, SnapshotReply reply) {
  at_home(session, [session, reply = back_here(std::move(reply))](CoreGateway& home) {
    if (!home.directory_.tell_if_awake(session, Snapshot{reply})) reply(std::nullopt);
  });
}

void CoreGateway::read(const SessionId& session, ReadEvents range, PageReply reply) {
  const auto& readers = services_.readers;
  caf::anon_send(readers[hash_of(session.text) % readers.size()],
                 ReadLog{session, range, back_here(std::move(reply))});
}

std::uint64_t CoreGateway::run_once(std::string task, RunOnceReply reply) {
  if (stopping()) {
    reply(stopping_error());
    return 0;
  }
  const std::size_t limit = services_.options.run_once_max;
  if (runs_once_.size() >= limit) {
    reply(Error{Errc::resource_exhausted,
                fmt::format("{} runs without a session are in progress, the limit (run_once_max); "
                            "try again when one has ended",
                            limit)});
    return 0;
  }
  const std::uint64_t number = ++services_.last_ticket;
  const RunOnceHandle run = system_.spawn<RunOnceActor>(
      services_, std::move(task), std::move(reply), [this, number] { runs_once_.erase(number); });
  runs_once_.emplace(number, run);
  tell(services_.worker(), run, Wake{});
  return number;
}

void CoreGateway::cancel_run_once(std::uint64_t run) {
  const auto it = runs_once_.find(run);
  if (it != runs_once_.end()) tell(services_.worker(), it->second, EndRun{});
}

void CoreGateway::sweep(SteadyTime now) {
  directory_.sweep(now);
  for (const auto& [number, run] : runs_once_) tell(services_.worker(), run, Tick{now});
}

void CoreGateway::stop() {
  directory_.stop();
  end_runs_once();
}

void CoreGateway::end_runs_once() {
  for (const auto& [number, run] : runs_once_) {
    caf::anon_send_exit(run, caf::exit_reason::user_shutdown);
  }
}

void CoreGateway::create_client(Scope /*scope*/, AuthorizedReply reply) {
  reply(Error{Errc::unavailable, "no clients yet"});
}
void CoreGateway::refresh_client(SessionId /*client*/, std::string /*secret*/,
                                 AuthorizedReply reply) {
  reply(Error{Errc::unavailable, "no clients yet"});
}
void CoreGateway::change_lifecycle(const SessionId& /*client*/, LifecycleCommand /*command*/,
                                   StatusReply reply) {
  reply(Error{Errc::unavailable, "no clients yet"});
}
void CoreGateway::store(const SessionId& /*client*/, StoreDocuments /*command*/, StoreReply reply) {
  reply(Error{Errc::unavailable, "no clients yet"});
}
void CoreGateway::await_end(const SessionId& /*session*/, MessageId /*message*/,
                            StatusReply reply) {
  reply(Error{Errc::unavailable, "no clients yet"});
}
void CoreGateway::read_passages(const SessionId& /*session*/, std::vector<PassageId> /*ids*/,
                                PassagesReply reply) {
  reply(Error{Errc::unavailable, "no clients yet"});
}
bool CoreGateway::in_background(std::function<void()> /*work*/, std::function<void()> /*done*/) {
  return false;
}

bool CoreGateway::stopping() const {
  return node_.stopping.load(std::memory_order_relaxed);
}

bool CoreGateway::ready() const {
  return node_.recovered.load(std::memory_order_relaxed) && !services_.store.refuses_writes();
}

}  // namespace parlance::actors
