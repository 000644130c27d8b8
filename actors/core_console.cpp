#include "actors/core_console.h"

#include <utility>

#include <caf/send.hpp>

#include "actors/session_directory.h"

namespace parlance::actors {

CoreConsole::CoreConsole(CoreServices& services, std::function<std::size_t()> runs_once)
    : services_(services), runs_once_(std::move(runs_once)) {}

CoreActivity CoreConsole::activity(std::size_t rows_max) const {
  CoreActivity activity = services_.directory->activity(rows_max);
  activity.runs_once = runs_once_();
  return activity;
}

std::vector<ProviderView> CoreConsole::providers() const {
  return services_.view_providers();
}

void CoreConsole::read_storage(StorageReply reply) {
  if (services_.readers.empty()) return;  // The node has stopped.
  caf::anon_send(services_.readers[services_.core % services_.readers.size()],
                 ReadStore{[reply = on_core_of(services_, std::move(reply))](
                               const storage::Store& store) { reply(store.usage()); }});
}

}  // namespace parlance::actors
