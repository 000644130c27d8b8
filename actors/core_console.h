// The console's view of one core. Thread: its core's.
#pragma once

#include <functional>

#include "actors/console_gateway.h"
#include "actors/core_services.h"

namespace parlance::actors {

class CoreConsole final : public ConsoleGateway {
 public:
  /// `runs_once` counts the core's runs without a session.
  CoreConsole(CoreServices& services, std::function<std::size_t()> runs_once);

  CoreActivity activity(std::size_t rows_max) const override;
  std::vector<ProviderView> providers() const override;
  void read_storage(StorageReply reply) override;

 private:
  CoreServices& services_;
  const std::function<std::size_t()> runs_once_;
};

}  // namespace parlance::actors
