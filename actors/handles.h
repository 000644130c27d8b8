// Who answers what: the messages between actors, and the typed interface of every actor.
// Messages are moved, never shared. Those that carry a callback or a handle stay in this process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/typed_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include "actors/prepared_documents.h"
#include "actors/session_gateway.h"
#include "agent/turn.h"
#include "schemas/command.h"
#include "schemas/model_call.h"
#include "schemas/query.h"
#include "storage/store.h"

namespace parlance::actors {

// ---- To a session ----

struct Submit {
  SubmitMessage command;
  SessionGateway::SubmitReply reply;
};
struct Cancel {
  CancelMessage command;
  SessionGateway::StatusReply reply;
};
struct Ping {
  std::string data;
  SessionGateway::PingReply reply;
};
struct Snapshot {
  SessionGateway::SnapshotReply reply;
};
/// A step in the life of a client's session.
struct ChangeLifecycle {
  LifecycleCommand command = LifecycleCommand::check;
  std::optional<ClientRecord> client;  ///< Of `authorize`.
  SessionGateway::StatusReply reply;
};
struct Store {
  StoreDocuments command;
  SessionGateway::StoreReply reply;
};
struct AwaitEnd {
  MessageId message;
  SessionGateway::StatusReply reply;
  SessionGateway::SpeechReply on_speech;  ///< May be empty.
};
/// Load the log if that has not been done; go on with what is unfinished.
struct Wake {};
/// Time has passed; sent to sessions with a run in progress.
struct Tick {
  SteadyTime now;
};
/// Go to sleep, if there is nothing to do.
struct Nap {};

// ---- To a run: answers from the model proxy and the tool runners ----

struct ModelWrote {
  std::uint64_t call = 0;
  std::string text;
};
struct ModelAnswered {
  std::uint64_t call = 0;
  ModelAnswer answer;
};
struct ModelFailed {
  std::uint64_t call = 0;
  Errc code = Errc::unavailable;
  std::string detail;
  bool retryable = false;
};
struct ToolsRan {
  std::uint64_t batch = 0;
  std::vector<ToolResult> results;
};

/// What a search of the session's documents came to.
struct Retrieved {
  std::uint64_t search = 0;
  Result<agent::PassagesFound> found;
};

/// The session's agent, or why there is none.
struct AgentRead {
  std::uint64_t search = 0;
  Result<Agent> agent;
};

/// What a Transcribe came to.
struct Heard {
  std::uint64_t speech = 0;
  Result<agent::Transcribed> heard;
};
struct SpeechGrew {
  std::uint64_t speech = 0;
  SpeechProgress progress;
};
/// What a Speak came to.
struct SpeechEnded {
  std::uint64_t speech = 0;
  Result<agent::Spoken> spoken;
};
/// The recordings of a session that was erased are gone, or why not.
struct AudioErased {
  Status status;
};

// ---- To a session: how the documents that it stores come along ----

struct DocumentsPrepared {
  Result<PreparedDocuments> prepared;
};
struct DocumentsWritten {
  Status status;
};

// ---- From storage ----

struct Loaded {
  Result<storage::SessionImage> image;
};
struct Appended {
  storage::AppendOutcome outcomes;
};

/// Whoever carries out a turn.
using RunHandle = caf::typed_actor<caf::reacts_to<ModelWrote>, caf::reacts_to<ModelAnswered>,
                                   caf::reacts_to<ModelFailed>, caf::reacts_to<ToolsRan>>;

/// One conversation.
using SessionHandle =
    RunHandle::extend<caf::reacts_to<Submit>, caf::reacts_to<Cancel>, caf::reacts_to<Ping>,
                      caf::reacts_to<Snapshot>, caf::reacts_to<ChangeLifecycle>,
                      caf::reacts_to<Store>, caf::reacts_to<AwaitEnd>, caf::reacts_to<Wake>,
                      caf::reacts_to<Tick>, caf::reacts_to<Nap>, caf::reacts_to<Loaded>,
                      caf::reacts_to<Appended>, caf::reacts_to<Retrieved>,
                      caf::reacts_to<AgentRead>, caf::reacts_to<Heard>, caf::reacts_to<SpeechGrew>,
                      caf::reacts_to<SpeechEnded>, caf::reacts_to<AudioErased>,
                      caf::reacts_to<DocumentsPrepared>, caf::reacts_to<DocumentsWritten>>;

// ---- To a model proxy (one per core) ----

struct StartCall {
  std::uint64_t call = 0;
  std::shared_ptr<const ModelRequest> request;
  RunHandle caller;
};
struct CancelCall {
  std::uint64_t call = 0;
};
using ModelProxyHandle = caf::typed_actor<caf::reacts_to<StartCall>, caf::reacts_to<CancelCall>>;

// ---- To a tool runner (own threads) ----

struct RunToolCalls {
  std::uint64_t batch = 0;
  SessionId session;
  MessageId message;
  int step = 0;
  std::vector<ToolCall> calls;
  RunHandle caller;
};
using ToolRunnerHandle = caf::typed_actor<caf::reacts_to<RunToolCalls>>;

// ---- To the persistence actor (own thread) ----

/// Answered with Appended once the group it joined is durable, or failed.
struct Append {
  storage::AppendRequest request;
  SessionHandle session;
};
/// To itself: what waits becomes a group.
struct Flush {};
/// Passages of a set that is not there yet.
struct WritePassages {
  storage::PassageBatch batch;
  std::function<void(Status)> done;  ///< Called on the persistence thread.
};
/// Nothing is left elsewhere of a set that was begun.
struct DropBegunSet {
  storage::BegunSet begun;
};
/// A change of the platform's agents and sessions, for the next group.
struct ChangeCatalog {
  storage::CatalogChange change;
  std::function<void(Result<storage::CatalogOutcome>)> done;  ///< Called on the persistence thread.
};
using PersistenceHandle =
    caf::typed_actor<caf::reacts_to<Append>, caf::reacts_to<Flush>, caf::reacts_to<WritePassages>,
                     caf::reacts_to<DropBegunSet>, caf::reacts_to<ChangeCatalog>>;

// ---- To a worker (own thread) ----

/// Runs there; may take long and block.
struct RunWork {
  std::function<void()> work;
};
using WorkerHandle = caf::typed_actor<caf::reacts_to<RunWork>>;

// ---- To a history reader (own threads) ----

struct LoadSession {
  SessionId id;
  SessionHandle session;
};
struct ReadLog {
  SessionId session;
  ReadEvents range;
  std::function<void(Result<EventPage>)> reply;  ///< Called on the reader's thread.
};
struct ReadPassages {
  SessionId session;
  std::vector<PassageId> ids;
  SessionGateway::PassagesReply reply;  ///< Called on the reader's thread.
};
/// Reads of the store what is asked.
struct ReadStore {
  std::function<void(const storage::Store&)> read;  ///< Called on the reader's thread.
};
using HistoryReaderHandle =
    caf::typed_actor<caf::reacts_to<LoadSession>, caf::reacts_to<ReadLog>,
                     caf::reacts_to<ReadPassages>, caf::reacts_to<ReadStore>>;

}  // namespace parlance::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(parlance::actors::Submit)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(parlance::actors::Cancel)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(parlance::actors::Ping)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(parlance::actors::Snapshot)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(parlance::actors::ChangeLifecycle)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(parlance::actors::Store)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(parlance::actors::AwaitEnd)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(parlance::actors::Retrieved)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(parlance::actors::AgentRead)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(parlance::actors::Heard)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(parlance::actors::SpeechGrew)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(parlance::actors::SpeechEnded)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(parlance::actors::AudioErased)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(parlance::actors::DocumentsPrepared)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(parlance::actors::DocumentsWritten)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(parlance::actors::WritePassages)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(parlance::actors::DropBegunSet)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(parlance::actors::RunWork)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(parlance::actors::Wake)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(parlance::actors::Tick)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(parlance::actors::Nap)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(parlance::actors::ModelWrote)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(parlance::actors::ModelAnswered)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(parlance::actors::ModelFailed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(parlance::actors::ToolsRan)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(parlance::actors::Loaded)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(parlance::actors::Appended)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(parlance::actors::StartCall)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(parlance::actors::CancelCall)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(parlance::actors::RunToolCalls)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(parlance::actors::Append)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(parlance::actors::Flush)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(parlance::actors::LoadSession)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(parlance::actors::ReadLog)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(parlance::actors::ReadPassages)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(parlance::actors::ReadStore)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(parlance::actors::ChangeCatalog)
