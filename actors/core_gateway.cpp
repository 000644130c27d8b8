#include "actors/core_gateway.h"

#include <memory>
#include <utility>

#include <fmt/format.h>

#include "actors/worker_actor.h"
#include "auth/secret_hash.h"
#include "base/metrics.h"

namespace parlance::actors {
namespace {

Error stopping_error() {
  return {Errc::unavailable, "the server is stopping; send it again after the restart"};
}

Error too_many_authorizations() {
  return {Errc::resource_exhausted, "too many authorizations wait; try again a little later"};
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
      directory_(system, services, node.sessions_awake),
      platform_(services, *this),
      console_(services, [this] { return runs_once_.size(); }) {
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
  return on_core_of(services_, std::move(reply));
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
  caf::anon_send(services_.reader_of(session),
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

// ---- Clients ----

template <class Command>
void CoreGateway::tell_home(const SessionId& session, Command command) {
  at_home(session, [session, command = std::move(command)](CoreGateway& home) {
    const Status told = home.directory_.tell_session(session, Command(command));
    if (!told) command.reply(told.error());
  });
}

void CoreGateway::create_client(Scope scope, AuthorizedReply reply) {
  if (stopping()) return reply(stopping_error());
  struct Made {
    Authorized client;
    Result<std::string> hash = std::string();
  };
  auto made = std::make_shared<Made>();
  const bool taken = in_background(
      [made, scope] {
        made->client = {{auth::new_client_id()}, scope, auth::new_secret()};
        made->hash = auth::hash_secret(made->client.secret);
      },
      [this, made, reply] {
        if (!made->hash) return reply(made->hash.error());
        ClientRecord record{made->client.scope, LifecycleState::authorized, std::move(*made->hash),
                            wall_now(), 0};
        tell_home(made->client.client,
                  ChangeLifecycle{LifecycleCommand::authorize, std::move(record),
                                  back_here(StatusReply([made, reply](const Status& status) {
                                    status ? reply(made->client) : reply(status.error());
                                  }))});
      });
  if (!taken) reply(too_many_authorizations());
}

void CoreGateway::refresh_client(SessionId client, std::string secret, AuthorizedReply reply) {
  if (stopping()) return reply(stopping_error());
  struct Checked {
    Result<std::optional<ClientRecord>> record = std::optional<ClientRecord>();
    bool fits = false;
  };
  auto checked = std::make_shared<Checked>();
  const bool taken = in_background(
      [checked, client, secret, &store = services_.store] {
        checked->record = store.client(client);
        if (!checked->record) return;
        const bool known = checked->record->has_value();
        // A client that is not known takes as long as one that is.
        checked->fits =
            auth::verify_secret(known ? std::string_view((*checked->record)->secret_hash)
                                      : auth::kUnknownClientHash,
                                secret) &&
            known;
      },
      [this, checked, client, secret, reply] {
        if (!checked->record) return reply(checked->record.error());
        const Error refusal{Errc::unauthenticated,
                            "client_id and client_secret are not those of a persistent client"};
        if (!checked->fits) return reply(refusal);
        const Authorized authorized{client, (*checked->record)->scope, secret};
        tell_home(client, ChangeLifecycle{LifecycleCommand::reauthorize,
                                          {},
                                          back_here(StatusReply([=](const Status& status) {
                                            if (status) return reply(authorized);
                                            const bool known =
                                                status.error().code != Errc::unauthenticated;
                                            reply(known ? status.error() : refusal);
                                          }))});
      });
  if (!taken) reply(too_many_authorizations());
}

void CoreGateway::change_lifecycle(const SessionId& client, LifecycleCommand command,
                                   StatusReply reply) {
  tell_home(client, ChangeLifecycle{command, {}, back_here(std::move(reply))});
}

void CoreGateway::store(const SessionId& client, StoreDocuments command, StoreReply reply) {
  if (stopping()) return reply(stopping_error());
  // Shared, since what crosses cores is copied and this is large.
  auto carried = std::make_shared<StoreDocuments>(std::move(command));
  at_home(client, [client, carried, reply = back_here(std::move(reply))](CoreGateway& home) {
    const Status told = home.directory_.tell_session(client, Store{std::move(*carried), reply});
    if (!told) reply(told.error());
  });
}

void CoreGateway::await_end(const SessionId& session, MessageId message, StatusReply reply,
                            SpeechReply on_speech) {
  if (on_speech) on_speech = back_here(std::move(on_speech));
  tell_home(session,
            AwaitEnd{std::move(message), back_here(std::move(reply)), std::move(on_speech)});
}

void CoreGateway::read_passages(const SessionId& session, std::vector<PassageId> ids,
                                PassagesReply reply) {
  caf::anon_send(services_.reader_of(session),
                 ReadPassages{session, std::move(ids), back_here(std::move(reply))});
}

bool CoreGateway::in_background(std::function<void()> work, std::function<void()> done) {
  return services_.workers.run([work = std::move(work), done = std::move(done),
                                &scheduler = services_.scheduler, core = services_.core] {
    work();
    scheduler.post(core, done);
  });
}

bool CoreGateway::stopping() const {
  return node_.stopping.load(std::memory_order_relaxed);
}

bool CoreGateway::ready() const {
  return node_.recovered.load(std::memory_order_relaxed) && !services_.store.refuses_writes();
}

}  // namespace parlance::actors
