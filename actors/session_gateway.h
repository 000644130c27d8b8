// The only door from sockets into sessions. One per core; every call and every callback is on that
// core's thread. Names no CAF type.
//
// A session lives on one core, `home_of(id)`. Calls for a session of another core hop there, and
// their callback hops back. Every callback is called exactly once while the node runs, and not at
// all for what its stop cuts off.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "schemas/command.h"
#include "schemas/event.h"
#include "schemas/ids.h"
#include "schemas/query.h"

namespace parlance::actors {

/// What a core's front end implements to hear its sessions. Called on the session's home core, in
/// the order of the log. One call per group, so that a reader may be served with one write.
class EventSink {
 public:
  virtual ~EventSink() = default;
  /// Durable events, in order.
  virtual void on_recorded(const SessionId& session, std::span<const RecordedEvent> events) = 0;
  virtual void on_passing(const SessionId& session, const PassingEvent& event) = 0;
};

/// A step of a run that was asked for without a session.
struct RunOnceStep {
  StepType type = StepType::final_answer;
  std::string text;
};

class SessionGateway {
 public:
  using SubmitReply = std::function<void(Result<SubmitAccepted>)>;
  using StatusReply = std::function<void(Status)>;
  using PingReply = std::function<void(Status, std::string data)>;
  using PageReply = std::function<void(Result<EventPage>)>;
  using SnapshotReply = std::function<void(std::optional<TextSnapshot>)>;
  using RunOnceReply = std::function<void(Result<std::vector<RunOnceStep>>)>;

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

  /// True once the node is stopping: new messages are refused with unavailable.
  virtual bool stopping() const = 0;

  /// False while start-up recovery has not yet begun all unfinished runs, or after the store began
  /// to refuse writes.
  virtual bool ready() const = 0;
};

}  // namespace parlance::actors
