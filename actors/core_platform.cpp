#include "actors/core_platform.h"

#include <algorithm>
#include <utility>

#include <caf/send.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "actors/speech_loop.h"
#include "actors/worker_actor.h"
#include "base/log.h"
#include "base/uuid.h"

namespace parlance::actors {
namespace {

/// Sessions that are erased at the same time, per deletion.
constexpr std::size_t kErasedTogether = 16;

Error stopping_error() {
  return {Errc::unavailable, "the server is stopping; send it again after the restart"};
}

}  // namespace

CorePlatform::CorePlatform(CoreServices& services, SessionGateway& sessions)
    : services_(services), sessions_(sessions) {}

Status CorePlatform::check_tools(const AgentSettings& settings) const {
  for (const std::string& name : settings.tools) {
    if (services_.toolbox.find(name) != nullptr) continue;
    std::vector<std::string> known;
    for (const ToolDeclaration& tool : *services_.toolbox.declarations()) {
      known.push_back(tool.name);
    }
    return Error{Errc::unprocessable,
                 fmt::format("/tools: there is no tool named \"{}\"; there are {}", name,
                             fmt::join(known, ", "))};
  }
  return {};
}

void CorePlatform::change(storage::CatalogChange change, std::function<void(Outcome)> done) {
  if (sessions_.stopping()) return done(stopping_error());
  caf::anon_send(services_.persistence,
                 ChangeCatalog{std::move(change), on_core_of(services_, std::move(done))});
}

template <class T>
void CorePlatform::read(std::function<Result<T>(const storage::Store&)> read, Reply<T> reply) {
  caf::anon_send(
      services_.readers[services_.core % services_.readers.size()],
      ReadStore{[read = std::move(read), reply = on_core_of(services_, std::move(reply))](
                    const storage::Store& store) { reply(read(store)); }});
}

// ---- Agents ----

void CorePlatform::create_agent(AgentSettings settings, RepeatableRequest request,
                                Reply<Created<Agent>> reply) {
  if (const Status known = check_tools(settings); !known) return reply(known.error());
  const WallTime now = wall_now();
  Agent agent{{uuid7()}, std::move(settings), now, now};
  change(storage::CreateAgent{std::move(agent), std::move(request)},
         [reply = std::move(reply)](Outcome made) {
           if (!made) return reply(made.error());
           reply(Created<Agent>{std::move(*made->agent), made->replayed});
         });
}

void CorePlatform::read_agent(AgentId id, Reply<Agent> reply) {
  if (auto agent = services_.store.agent_in_memory(id)) return reply(std::move(*agent));
  read<Agent>([id = std::move(id)](const storage::Store& store) { return store.agent(id); },
              std::move(reply));
}

void CorePlatform::update_agent(AgentId id, AgentSettings settings,
                                std::optional<std::uint64_t> if_version, Reply<Agent> reply) {
  if (const Status known = check_tools(settings); !known) return reply(known.error());
  change(storage::UpdateAgent{std::move(id), std::move(settings), if_version, wall_now()},
         [reply = std::move(reply)](Outcome changed) {
           changed ? reply(std::move(*changed->agent)) : reply(changed.error());
         });
}

void CorePlatform::delete_agent(AgentId id, bool cascade, std::optional<std::uint64_t> if_version,
                                StatusReply reply) {
  delete_entity(storage::DeleteAgent{std::move(id), if_version, cascade}, std::move(reply));
}

void CorePlatform::list_agents(ListRange range, Reply<std::vector<Agent>> reply) {
  read<std::vector<Agent>>(
      [range = std::move(range)](const storage::Store& store) { return store.agents(range); },
      std::move(reply));
}

// ---- Sessions ----

void CorePlatform::create_session(PlatformSessionSettings settings, RepeatableRequest request,
                                  Reply<Created<PlatformSession>> reply) {
  const WallTime now = wall_now();
  PlatformSession session{{uuid7()}, std::move(settings), now, now};
  change(storage::CreateSession{std::move(session), std::move(request)},
         [reply = std::move(reply)](Outcome made) {
           if (!made) return reply(made.error());
           reply(Created<PlatformSession>{std::move(*made->session), made->replayed});
         });
}

void CorePlatform::read_session(SessionId id, Reply<PlatformSession> reply) {
  if (auto known = services_.store.platform_session_in_memory(id)) return reply(std::move(*known));
  read<PlatformSession>(
      [id = std::move(id)](const storage::Store& store) { return store.platform_session(id); },
      std::move(reply));
}

void CorePlatform::update_session(SessionId id, PlatformSessionSettings settings,
                                  std::optional<std::uint64_t> if_version,
                                  Reply<PlatformSession> reply) {
  change(storage::UpdateSession{std::move(id), std::move(settings), if_version, wall_now()},
         [reply = std::move(reply)](Outcome changed) {
           changed ? reply(std::move(*changed->session)) : reply(changed.error());
         });
}

void CorePlatform::delete_session(SessionId id, std::optional<std::uint64_t> if_version,
                                  StatusReply reply) {
  delete_entity(storage::DeleteSession{std::move(id), if_version}, std::move(reply));
}

void CorePlatform::list_sessions(ListRange range, std::optional<AgentId> agent,
                                 Reply<std::vector<PlatformSession>> reply) {
  read<std::vector<PlatformSession>>(
      [range = std::move(range), agent = std::move(agent)](const storage::Store& store) {
        return store.platform_sessions(range, agent);
      },
      std::move(reply));
}

// ---- Recordings ----

template <class T>
void CorePlatform::at_worker(std::function<Result<T>()> work, Reply<T> reply) {
  const bool taken = services_.workers.run(
      [work = std::move(work), reply = on_core_of(services_, reply)] { reply(work()); });
  if (taken) return;
  reply(Error{Errc::resource_exhausted, "too much waits for the workers; try again later"});
}

void CorePlatform::keep_recording(SessionId session, std::string name,
                                  std::shared_ptr<const UniqueFd> file, Reply<VoiceInput> reply) {
  services_.speech.keep_upload(std::move(session), std::move(name), std::move(file),
                               on_core_of(services_, std::move(reply)));
}

void CorePlatform::read_recording(SessionId session, std::string name, Reply<RecordingFile> reply) {
  at_worker<RecordingFile>(
      [&files = services_.speech.files(), session = std::move(session),
       name = std::move(name)]() -> Result<RecordingFile> {
        auto audio = files.read(session, name);
        if (!audio) return audio.error();
        return RecordingFile{std::move(audio->file), audio->bytes, audio->type};
      },
      std::move(reply));
}

void CorePlatform::remove_recording(SessionId session, std::string name) {
  at_worker<bool>(
      [&files = services_.speech.files(), session = std::move(session),
       name = std::move(name)]() -> Result<bool> {
        const Status removed = files.remove(session, name);
        if (!removed) return removed.error();
        return true;
      },
      [](const Result<bool>& removed) {
        if (removed) return;
        log::warn("a recording of no message stays why={}", log::value(removed.error().detail));
      });
}

// ---- Deleting ----

void CorePlatform::delete_entity(storage::CatalogChange deletion, StatusReply reply) {
  change(std::move(deletion), [this, reply = std::move(reply)](Outcome deleted) {
    if (!deleted) return reply(deleted.error());
    erase(std::move(deleted->deleted), [reply](bool erased) {
      if (erased) return reply({});
      reply(Error{Errc::unavailable,
                  "it is deleted, but not all of its messages are erased yet; that is gone on with "
                  "when the server starts the next time"});
    });
  });
}

void CorePlatform::erase(std::vector<SessionId> sessions, std::function<void(bool)> done) {
  if (sessions.empty()) return done(true);
  const std::size_t together = std::min(sessions.size(), kErasedTogether);
  const auto erasing = std::make_shared<Erasing>();
  erasing->in_work = together;
  erasing->left = std::move(sessions);
  erasing->done = std::move(done);
  for (std::size_t i = 0; i < together; ++i) erase_next(erasing);
}

void CorePlatform::erase_next(const std::shared_ptr<Erasing>& erasing) {
  if (sessions_.stopping() && !erasing->left.empty()) {  // The marks have it done later.
    erasing->failed = true;
    erasing->left.clear();
  }
  if (erasing->left.empty()) {
    if (--erasing->in_work == 0) erasing->done(!erasing->failed);
    return;
  }
  const SessionId session = std::move(erasing->left.back());
  erasing->left.pop_back();
  sessions_.change_lifecycle(
      session, LifecycleCommand::expire, [this, session, erasing](const Status& erased) {
        if (!erased && erased.error().code != Errc::not_found) {
          erasing->failed = true;
          log::warn("a deleted session is erased at the next start session={} why={}", session.text,
                    log::value(erased.error().detail));
        }
        // Not from here: an answer may come at once, and there may be very many.
        services_.scheduler.post(services_.core, [this, erasing] { erase_next(erasing); });
      });
}

}  // namespace parlance::actors
