// A whole node: store, actors, front end, in the order they start and stop.
// Owner: main. Main thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "config/settings.h"

namespace parlance::app {

class Server {
 public:
  /// Opens the store, spawns the actors, begins what a crash left unfinished, and listens.
  /// Errors: those of the store, or a listener that cannot be bound; nothing is left running then.
  static Result<std::unique_ptr<Server>> start(const config::Settings& settings);
  ~Server();

  /// The addresses it listens on, "127.0.0.1:8080", with the ports that were free.
  const std::vector<std::string>& addresses() const;

  /// Graceful stop: no new connection or message; runs in progress may end within drain_timeout;
  /// clients are told to come back; the store is closed. Runs that did not end go on at next start.
  void stop();

 private:
  class Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace parlance::app
