// One conversation: the only writer of its log. Loads its tail when it wakes, records what is asked
// of it, carries out the turn in progress, tells its core's front end, and sleeps when idle.
//
// Thread: its core's. Owner of: the end of the session's log, its queue, its turn.
// Invariants:
// - A recorded event is told, and takes effect here, only after it is durable, in log order.
// - Nothing of a turn is seen before its message is durable: a turn may begin earlier, to call the
//   model meanwhile, but hears nothing until then (docs/adr/0009).
// - Every message in the log gets exactly one terminal event: from its turn, from a cancel in the
//   queue, or after a restart from the turn that goes on with it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "actors/core_scheduler.h"
#include "actors/handles.h"
#include "actors/session_log.h"
#include "agent/history.h"
#include "agent/turn.h"
#include "base/clock.h"
#include "schemas/console.h"
#include "schemas/event.h"

namespace parlance::actors {

struct CoreServices;

class SessionActor final : public SessionHandle::base, public CoreBound {
 public:
  SessionActor(caf::actor_config& config, SessionId id, CoreServices& services);
  ~SessionActor() override;

  behavior_type make_behavior() override;
  void on_exit() override;
  const char* name() const override { return "session"; }

  // For the console. Thread: the core, between two messages.
  SessionView view() const;
  /// The run in progress; nothing when there is none.
  std::optional<RunView> view_run() const;

 private:
  using Command = std::variant<Submit, Cancel, Ping, ChangeLifecycle, Store, AwaitEnd>;

  /// A message that is in the log and waits for its run.
  struct Queued {
    EventSeq seq;
    MessageId id;
    std::string text;
    std::vector<StepRecorded> steps{};  ///< From before a crash.
    OnBusy on_busy = OnBusy::queue;
    MessageId retry_of{};
    std::shared_ptr<const VoiceInput> voice{};
    std::string answer_name{};  ///< Of its recording, where an answer is recorded already.
  };

  /// The turn in progress and what belongs to it alone.
  struct Run {
    EventSeq seq;  ///< Of its message; 0 until that is durable.
    agent::Turn turn;
    SteadyTime started;
    MessageId name{};                  ///< In the history: of the message that it runs again.
    std::vector<agent::Input> held{};  ///< What it hears once its message is durable.
    std::uint64_t call = 0;            ///< The model call in flight; 0 when there is none.
    std::uint64_t batch = 0;           ///< The tools running; 0 when there are none.
    SteadyTime tools_started{};
    std::vector<ToolCall> tools_running{};
    SteadyTime text_kept_at{};
    std::uint64_t search = 0;       ///< Of documents or the agent, in flight; 0 when there is none.
    std::uint64_t speech = 0;       ///< Heard or spoken now; 0 when nothing is.
    std::uint64_t speech_call = 0;  ///< What the SpeechLoop calls that.
    bool hears = false;             ///< Rather than speaks.
    SpeechProgress spoken{};        ///< How far that is, once there is any.
    std::string answer_name{};      ///< Of the recording of the answer that was recorded last.
  };

  /// What a session has that a client authorized. Its code is in session_client.cpp.
  struct Client {
    explicit Client(ClientRecord kept) : record(std::move(kept)) {}

    ClientRecord record;
    std::vector<Store> stores;  ///< The first is in work, or waits for it.
    /// Whether that one is still wanted; null while there is none in work.
    std::shared_ptr<std::atomic<bool>> wanted;
    std::shared_ptr<const PreparedSet> prepared;
    struct Closing {
      LifecycleState wanted = LifecycleState::closed;
      SessionGateway::StatusReply reply;
    };
    std::vector<Closing> closing;  ///< Who waits for it; not empty while the session closes.
    bool close_recorded = false;
  };

  // Commands.
  template <class T>
  void receive(T& command);
  /// Handles, stashes or refuses it, as the session's state is.
  template <class T>
  void serve(T& command);
  void handle(Submit& submit);
  void handle(Cancel& cancel);
  void handle(Ping& ping);
  void handle(ChangeLifecycle& change);
  void handle(Store& store);
  void handle(AwaitEnd& await);
  void handle(SpeechGrew& m);
  void handle(Snapshot& snapshot);
  void handle(const Tick& tick);
  void handle_nap();

  // The log.
  std::string name_of_answer(const RecordedEvent& answer) const;
  void load();
  void handle(Loaded& loaded);
  void begin(storage::SessionImage& image);
  void note_last(const RecordedEvent& event);
  void keep_text();
  void flush();
  void handle(Appended& appended);
  void answer(SessionLog::Entry& entry, const storage::RecordOutcome& outcome);
  void take_effect(RecordedEvent& recorded);
  void accepted(MessageAccepted& message, EventSeq seq);
  void answer_cancels(const MessageId& id);
  void answer_end_waiters(const MessageId& id);
  void give_up(const Error& error);

  // What it takes up when it wakes; in session_recovery.cpp.
  void restore(storage::SessionImage& image);
  std::vector<Queued>::iterator find_interrupted(const storage::SessionImage& image);
  void go_on(storage::SessionImage& image);

  // The client and its documents.
  const ClientRecord* client() const { return client_ ? &client_->record : nullptr; }
  bool closing() const { return client_ && !client_->closing.empty(); }
  void record_lifecycle(LifecycleState state, SessionGateway::StatusReply reply);
  void begin_close(LifecycleState state, SessionGateway::StatusReply reply);
  void cancel_queue();
  void go_on_closing();
  /// `recorded`: the state that the log has now, where `status` says so.
  void closed(const Status& status, LifecycleState recorded);
  void start_store();
  void handle(DocumentsPrepared& m);
  void write_set(const Status& begun);
  void handle(DocumentsWritten& m);
  void end_store(Result<DocumentsAccepted> result);
  void give_up_client(const Error& error);

  // The turn.
  void start_next();
  /// `text_shown`: text of this message's answer that clients may hold from before a crash.
  void start_run(Queued message, std::string text_shown);
  void feed(agent::Input input);
  void carry_out(agent::Effects effects);
  void carry_out(agent::CallModel& effect);
  void carry_out(agent::AbandonCall& effect);
  void carry_out(agent::RunTools& effect);
  void carry_out(agent::AbandonTools& effect);
  void carry_out(agent::Retrieve& effect);
  void carry_out(agent::FindAgent& effect);
  void carry_out(agent::Transcribe& effect);
  void carry_out(agent::Speak& effect);
  void carry_out(agent::AbandonSpeech& effect);
  void carry_out(agent::Record& effect);
  void carry_out(agent::Show& effect);
  void drop_run();
  void run_ended();

  bool busy() const;
  bool idle() const;
  /// Unfinished messages that wait behind the run in progress.
  std::size_t waiting_messages() const;
  bool is_run_again(const MessageId& root) const;
  /// Why a new message cannot be taken now.
  std::optional<Error> why_refused(const SubmitMessage& message) const;
  bool try_cancel(const CancelMessage& command, const SessionGateway::StatusReply& reply);
  bool join_cancel(const MessageId& id, const SessionGateway::StatusReply& reply);
  void cancel_unheard(MessageId id, const SessionGateway::StatusReply& reply);

  const SessionId id_;
  CoreServices& services_;
  enum class State : unsigned char { asleep, loading, ready, broken } state_ = State::asleep;
  std::unique_ptr<Error> broken_;  ///< Why, in that state.
  std::uint64_t handled_ = 0;      ///< Commands, for SessionDirectory::let_sleep.
  SessionLog log_;
  std::vector<Command> stashed_;  ///< While loading.
  std::vector<Queued> queue_;
  std::unique_ptr<Run> run_;
  std::vector<std::pair<MessageId, SessionGateway::StatusReply>> cancel_waiters_;
  std::vector<Cancel> early_cancels_;  ///< Of messages that are not durable yet.
  std::vector<AwaitEnd> end_waiters_;
  std::unique_ptr<Client> client_;  ///< Null: nobody authorized this session.
  WallTime last_event_at_;
  LastEvent last_event_ = LastEvent::none;
  agent::History history_;
};

}  // namespace parlance::actors
