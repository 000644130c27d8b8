// The only door from sockets into sessions. One per core; every call and every callback is on that
// core's thread. Names no CAF type.
//
// A session lives on one core, `home_of(id)`. Calls for a session of another core hop there, and
// their callback hops back. Every callback is called exactly once while the node runs, and not at
// all for what its stop cuts off.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "schemas/client.h"
#include "schemas/command.h"
#include "schemas/document.h"
#include "schemas/event.h"
#include "schemas/ids.h"
#include "schemas/query.h"

namespace parlance::actors {

class ConsoleGateway;
class PlatformGateway;

/// What a core's front end implements to hear its sessions. Called on the session's home core, in
/// the order of the log. One call per group, so that a reader may be served with one write.
class EventSink {
 public:
  virtual ~EventSink() = default;
  /// Durable events, in order.
  virtual void on_recorded(const SessionId& session, std::span<const RecordedEvent> events) = 0;
  virtual void on_passing(const SessionId& session, const PassingEvent& event) = 0;
};

/// How far the speech of an answer is.
struct SpeechProgress {
  std::string name;                      ///< Of the recording: its message's.
  std::shared_ptr<const UniqueFd> file;  ///< What is there of it; read it by position.
  std::uint64_t bytes = 0;
  std::string engine;  ///< What speaks.
};

/// A step of a run that was asked for without a session.
struct RunOnceStep {
  StepType type = StepType::final_answer;
  std::string text;
};

/// A client that may come in.
struct Authorized {
  SessionId client;  ///< Also its session.
  Scope scope = Scope::temporary;
  std::string secret;  ///< The only time that it is told.
};

class SessionGateway {
 public:
  using SubmitReply = std::function<void(Result<SubmitAccepted>)>;
  using StatusReply = std::function<void(Status)>;
  using PingReply = std::function<void(Status, std::string data)>;
  using PageReply = std::function<void(Result<EventPage>)>;
  using SnapshotReply = std::function<void(std::optional<TextSnapshot>)>;
  using RunOnceReply = std::function<void(Result<std::vector<RunOnceStep>>)>;
  using AuthorizedReply = std::function<void(Result<Authorized>)>;
  using StoreReply = std::function<void(Result<DocumentsAccepted>)>;
  using SpeechReply = std::function<void(SpeechProgress)>;
  using PassagesReply = std::function<void(Result<std::vector<PassageText>>)>;

  virtual ~SessionGateway() = default;

  /// Index of the core that owns `session`; below the number of cores.
  virtual std::size_t home_of(const SessionId& session) const = 0;

  /// Records the message and starts, queues or steers its run. The reply comes after it is durable.
  /// Errors: failed_precondition (busy, and on_busy says reject), resource_exhausted (queue full,
  /// or too many sessions awake), already_exists (the id or idempotency key was used with other
  /// content), unavailable (the store refuses writes, or the node is stopping).
  virtual void submit(const SessionId& session, SubmitMessage command, SubmitReply reply) = 0;

  /// Cancels a run or a queued message. Success once the cancelled message's terminal event is
  /// durable. Errors: not_found (no such unfinished message), unavailable.
  virtual void cancel(const SessionId& session, CancelMessage command, StatusReply reply) = 0;

  /// Goes to the session actor and back, waking it where it sleeps; `data` is returned as it is.
  virtual void ping(const SessionId& session, std::string data, PingReply reply) = 0;

  /// The text that the run in progress has shown so far; nothing when there is none. Never wakes a
  /// session. On the session's home core the reply comes in order with on_passing: every delta
  /// before it is inside it, every delta after it is not.
  virtual void snapshot(const SessionId& session, SnapshotReply reply) = 0;

  /// Reads recorded events; never wakes a session. Errors: unavailable, corrupted.
  virtual void read(const SessionId& session, ReadEvents range, PageReply reply) = 0;

  /// Runs the agent on `task`; reads and stores nothing. Errors as of a failed run. Returns a
  /// number for cancel_run_once, 0 when it was refused.
  virtual std::uint64_t run_once(std::string task, RunOnceReply reply) = 0;
  /// Ends that run: nobody waits for its answer any more. It is still replied to.
  virtual void cancel_run_once(std::uint64_t run) = 0;

  // ---- Clients that authorize sessions of their own ----

  /// Makes a client and its session (ON_AUTH). The reply comes after both are durable.
  /// Errors: resource_exhausted (too many wait for it), unavailable.
  virtual void create_client(Scope scope, AuthorizedReply reply) = 0;

  /// Lets a persistent client in again (ON_AUTH with its secret). Errors: unauthenticated (unknown,
  /// temporary or deactivated client, wrong secret: never told apart), and as above.
  virtual void refresh_client(SessionId client, std::string secret, AuthorizedReply reply) = 0;

  /// ON_INIT, ON_CLOSE, whether the client may come in at all, and deleting: `initialize`, `close`,
  /// `check`, `remove`, `remove_chat`. A close and a removal end the session's runs first. Success
  /// once it is durable, and what is removed erased.
  /// Errors: unauthenticated (no such client, or deactivated), not_found (no such chat, or
  /// deleted), failed_precondition (the session's state does not fit; nothing has changed),
  /// unavailable.
  virtual void change_lifecycle(const SessionId& client, LifecycleCommand command,
                                StatusReply reply) = 0;

  /// ON_STORE: keeps the documents, all or none, and replies when they can be found.
  /// Errors: unauthenticated, failed_precondition, already_exists (an id or the key is in use),
  /// unsupported, unprocessable and too_large (of a document, which is named), resource_exhausted
  /// (too much waits), unavailable.
  virtual void store(const SessionId& client, StoreDocuments command, StoreReply reply) = 0;

  /// Replies when the message has its terminal event, at once where it has. The run is in the log
  /// then. `on_speech`, where it is not empty, is called before that as the answer is spoken.
  /// Errors: unavailable (the run is stalled: the store refuses writes).
  virtual void await_end(const SessionId& session, MessageId message, StatusReply reply,
                         SpeechReply on_speech) = 0;

  /// The passages of a session by their ids, those that exist, in the order asked.
  /// Errors: unavailable, corrupted.
  virtual void read_passages(const SessionId& session, std::vector<PassageId> ids,
                             PassagesReply reply) = 0;

  /// Runs `work` on a thread where it may take long, then `done` here. `work` must not throw.
  /// False, and neither is called: too much waits already.
  virtual bool in_background(std::function<void()> work, std::function<void()> done) = 0;

  /// The agents and sessions of the platform. Lives as long as this.
  virtual PlatformGateway& platform() = 0;

  /// What the operator's console sees. Lives as long as this.
  virtual ConsoleGateway& console() = 0;

  /// True once the node is stopping: new messages are refused with unavailable.
  virtual bool stopping() const = 0;

  /// False while start-up recovery has not yet begun all unfinished runs, or after the store began
  /// to refuse writes.
  virtual bool ready() const = 0;
};

}  // namespace parlance::actors
