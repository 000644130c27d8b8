// What the actors of one core share: handles of the actors they ask, and the core's front end.
// Owner: actor_tree, for as long as any actor lives. Used on the core's thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#include "actors/core_scheduler.h"
#include "actors/handles.h"
#include "actors/options.h"
#include "agent/options.h"
#include "agent/toolbox.h"
#include "schemas/console.h"
#include "storage/store.h"

namespace parlance::actors {

class DocumentIntake;
class RetrievalLoop;
class SessionDirectory;
class SpeechLoop;
class WorkerPool;

struct CoreServices {
  std::size_t core = 0;
  const Options& options;
  const agent::Options& agent_options;
  const agent::Toolbox& toolbox;
  const agent::Stack& stack;
  const storage::Store& store;  ///< Only what never blocks is used here.
  RetrievalLoop& retrieval;
  SpeechLoop& speech;
  const DocumentIntake& intake;
  WorkerPool& intake_workers;  ///< Documents: minutes, at worst.
  WorkerPool& workers;         ///< What is done in some milliseconds.
  CoreScheduler& scheduler;
  EventSink& sink;
  PersistenceHandle persistence;
  std::vector<HistoryReaderHandle> readers;
  std::vector<ToolRunnerHandle> tool_runners;
  ModelProxyHandle model_proxy;
  std::function<std::vector<ProviderView>()> view_providers;
  SessionDirectory* directory = nullptr;
  std::uint64_t last_ticket = 0;  ///< Of model calls and tool batches; unique on this core.

  /// Always the same one for a session, so that its reads keep their order.
  const HistoryReaderHandle& reader_of(const SessionId& session) const {
    return readers[std::hash<SessionId>{}(session) % readers.size()];
  }
  CoreWorker& worker() const { return scheduler.worker(core); }
};

/// `reply`, made to run on the core of `services` wherever it is called.
template <class... Args>
std::function<void(Args...)> on_core_of(const CoreServices& services,
                                        std::function<void(Args...)> reply) {
  return [&scheduler = services.scheduler, core = services.core,
          reply = std::move(reply)](Args... args) {
    if (scheduler.current_core() == core) {
      reply(std::move(args)...);
      return;
    }
    auto carried = std::make_shared<std::tuple<Args...>>(std::move(args)...);
    scheduler.post(core, [reply, carried] { std::apply(reply, std::move(*carried)); });
  };
}

/// Sends `message` to an actor of this core, from this core's thread. Cheaper than anon_send: the
/// scheduler need not find the core.
template <class Handle, class Message>
void tell(CoreWorker& worker, const Handle& to, Message message) {
  caf::actor_cast<caf::abstract_actor*>(to)->eq_impl(caf::make_message_id(), nullptr, &worker,
                                                     std::move(message));
}

}  // namespace parlance::actors
