// The awake sessions of one core: finds a session's actor by id, wakes it where it sleeps, and puts
// idle ones away. Used on the core's thread only; owned by actor_tree.
//
// A plain object rather than an actor: all who ask are on this thread, and a lookup is a function
// call instead of a message. Invariant: at most one live actor per session. An actor leaves only
// through `let_sleep`, which refuses while a command is on its way to it.
#pragma once

#include <atomic>
#include <cstdint>
#include <list>
#include <unordered_map>

#include "actors/handles.h"
#include "base/result.h"
#include "schemas/console.h"
#include "schemas/ids.h"

namespace parlance::actors {

struct CoreServices;

class SessionDirectory {
 public:
  /// `awake_in_node` counts the session actors of all cores.
  SessionDirectory(caf::actor_system& system, CoreServices& services,
                   std::atomic<std::size_t>& awake_in_node);
  ~SessionDirectory();

  /// Sends `command` to the session's actor, starting it when it sleeps.
  /// Errors: resource_exhausted (sessions_awake_max).
  template <class Command>
  Status tell_session(const SessionId& id, Command command);

  /// Sends `command` if the session is awake. False: it sleeps.
  bool tell_if_awake(const SessionId& id, Snapshot command);

  /// Starts the actor of a session that a crash left unfinished, beyond sessions_awake_max if need
  /// be: its messages were accepted.
  void recover(const SessionId& id);

  /// Called by a session's actor when a run begins or ends: running sessions are ticked.
  void set_running(const SessionId& id, bool running);

  /// Called by a session's actor, which has handled `handled` commands, before it quits. False:
  /// a command is on its way, stay.
  bool let_sleep(const SessionId& id, std::uint64_t handled);

  /// Called by a session's actor when it ends, for whatever reason.
  void forget(const SessionId& id, const caf::abstract_actor* actor);

  std::size_t running() const noexcept { return running_.size(); }
  /// For the console: the longest runs and the sessions that were last used, at most `rows_max`
  /// each. Looks at no others.
  CoreActivity activity(std::size_t rows_max) const;
  /// Actors that have not ended, in the directory or not.
  std::size_t alive() const noexcept { return alive_; }

  /// Once in a while: ticks a share of the running sessions, naps idle ones. In kSweepsPerRound
  /// sweeps every running session is ticked, so that a thousand of them do not stop the core at
  /// once.
  void sweep(SteadyTime now);
  static constexpr std::size_t kSweepsPerRound = 5;

  /// Ends every actor. No command may follow.
  void stop();

 private:
  struct Entry {
    SessionHandle actor;
    std::uint64_t sent = 0;
    SteadyTime used;
    std::list<const SessionId*>::iterator place;  ///< In by_use_.
  };
  using Sessions = std::unordered_map<SessionId, Entry>;

  Sessions::iterator wake(const SessionId& id);
  void remove(Sessions::iterator it);
  void stop_running(const SessionId& id);
  Result<Sessions::iterator> find_or_wake(const SessionId& id);

  caf::actor_system& system_;
  CoreServices& services_;
  std::atomic<std::size_t>& awake_in_node_;
  Sessions sessions_;
  std::list<const SessionId*> by_use_;    ///< Longest unused first.
  std::list<const SessionId*> by_start_;  ///< Of running_; the run that began first is first.
  std::unordered_map<SessionId, std::list<const SessionId*>::iterator> running_;
  std::size_t sweeps_ = 0;
  std::size_t alive_ = 0;
};

}  // namespace parlance::actors
