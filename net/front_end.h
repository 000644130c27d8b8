// The front end of the process: its listeners, and per core the sockets and the fan-out to them.
// The only header of net/ that app/ needs.
//
// Life: construct, hand every core's sink() to its gateway, set_gateway(), start(); later
// stop_accepting(), close_all(); destroy when no io_context runs any more, after the last callback
// of a gateway, and before the io_contexts.
// Thread: main, for every call. The work happens on the io_contexts' threads.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "actors/session_gateway.h"
#include "auth/access_token.h"
#include "base/result.h"
#include "net/options.h"

namespace parlance::net {

class Core;
class Listener;
struct Shared;

/// One core: the loop that runs its sockets, and its door to the sessions. The index of a binding
/// is the core's number, as in SessionGateway::home_of().
struct CoreBinding {
  boost::asio::io_context* io = nullptr;
  actors::SessionGateway* gateway = nullptr;  ///< May be set later, before start().
};

class FrontEnd {
 public:
  /// `access_tokens` are those of the KISS stack's clients.
  FrontEnd(Options options, std::shared_ptr<const auth::AccessTokens> access_tokens,
           std::span<const CoreBinding> cores);
  ~FrontEnd();
  FrontEnd(const FrontEnd&) = delete;
  FrontEnd& operator=(const FrontEnd&) = delete;

  /// Where the gateway of `core` tells what its sessions tell. Valid as long as the front end.
  actors::EventSink& sink(std::size_t core);
  void set_gateway(std::size_t core, actors::SessionGateway& gateway);

  /// Binds every address and starts to accept; returns the addresses with their real ports.
  /// Errors: invalid_argument (an address, a busy port, an address that others can reach without
  /// keys and without auth_none); nothing listens then.
  Result<std::vector<std::string>> start();

  /// No new connection from now on; open ones live on.
  void stop_accepting();

  /// Tells every client to come back: WebSockets close with 1012 and "retry_after=<s>", event
  /// streams send `retry:` and end, HTTP connections end after their answer. Blocks until all are
  /// gone or `time_max` is over; then closes what is left. Returns how many were left.
  std::size_t close_all(std::chrono::seconds retry_after, std::chrono::milliseconds time_max);

  std::size_t connections_open() const noexcept;

 private:
  Result<std::vector<std::string>> bind_all();

  std::shared_ptr<Shared> shared_;
  std::vector<std::shared_ptr<Core>> cores_;
  std::vector<std::shared_ptr<Listener>> listeners_;
  std::vector<Core*> listener_cores_;
};

}  // namespace parlance::net
