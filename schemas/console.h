// What the operator's console is told of a node at one moment. Plain values; no texts of users.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "schemas/ids.h"

namespace parlance {

/// What a run is at.
enum class RunActivity : std::uint8_t {
  recording,  ///< Waits for the disk.
  calling,    ///< A model was asked and has not said anything yet.
  writing,    ///< A model writes.
  acting,     ///< Tools run.
  searching,  ///< Documents, or its agent.
  listening,  ///< To a recording.
  speaking,   ///< The answer.
};
/// "recording", "calling", ...
const char* to_string(RunActivity activity) noexcept;

struct RunView {
  SessionId session = {};
  MessageId message = {};
  RunActivity activity = RunActivity::recording;
  WallTime started = {};
  std::size_t waiting = 0;     ///< Messages behind it.
  std::size_t text_bytes = 0;  ///< Of the answer so far.
  std::size_t watchers = 0;    ///< Set by the front end.
};

enum class SessionActivity : std::uint8_t { asleep, loading, idle, running, broken };
const char* to_string(SessionActivity activity) noexcept;

/// What the last event of a session was.
enum class LastEvent : std::uint8_t { none, message, step, completed, cancelled, failed, other };
const char* to_string(LastEvent event) noexcept;

struct SessionView {
  SessionId session = {};
  SessionActivity activity = SessionActivity::idle;
  std::size_t waiting = 0;  ///< Messages that are not ended, the one that runs not counted.
  EventSeq last_seq = 0;    ///< Of its log.
  LastEvent last_event = LastEvent::none;
  WallTime last_event_at = {};  ///< 0 where there is none.
  WallTime used = {};           ///< When it was last asked for something.
  std::size_t watchers = 0;     ///< Set by the front end.
};

/// What one core does. The lists are bounded; the numbers are not.
struct CoreActivity {
  std::size_t runs = 0;
  std::size_t runs_once = 0;  ///< Without a session; not in `runs`.
  std::size_t sessions_awake = 0;
  std::vector<RunView> oldest_runs = {};    ///< The longest first.
  std::vector<SessionView> last_used = {};  ///< The latest first.
};

struct Cost {
  double amount = 0;
  std::string currency = {};  ///< ISO 4217.
};

struct ProviderView {
  std::string name = {};
  std::string model = {};
  bool offline = false;
  bool named = false;  ///< Only for the calls that name it.
  std::size_t in_flight = 0;
  std::size_t in_flight_max = 0;  ///< 0: no limit.
  std::size_t waiting = 0;
  std::size_t queue_max = 0;
  enum class Breaker : std::uint8_t { none, closed, open, half_open };
  Breaker breaker = Breaker::none;
  std::chrono::milliseconds open_for{0};  ///< What is left of that.
  // Since the start of the node:
  std::uint64_t answered = 0;   ///< Calls.
  std::uint64_t failed = 0;     ///< Tries.
  std::uint64_t cancelled = 0;  ///< Tries; calls that waited for a place are not among them.
  std::uint64_t tokens_in = 0;  ///< Those that the provider told, rarely of what was not answered.
  std::uint64_t tokens_out = 0;
  std::uint64_t first_texts = 0;                 ///< Tries that came to a first delta...
  std::chrono::microseconds first_text_time{0};  ///< ...and how long that took, all together.
  std::chrono::microseconds answer_time{0};      ///< Of all `answered`.
  std::optional<Cost> cost = {};  ///< Of these tokens; nothing where no prices are known.
};
const char* to_string(ProviderView::Breaker breaker) noexcept;

struct StorageView {
  std::uint64_t file_bytes = 0;                 ///< Sorted files.
  std::optional<std::uint64_t> log_bytes = {};  ///< The write-ahead log, if known.
  std::uint64_t memory_bytes = 0;               ///< Recent writes that are in memory, too.
  std::uint64_t compaction_pending_bytes = 0;
  std::uint64_t compactions_running = 0;
  std::uint64_t disk_free_bytes = 0;
  std::uint64_t disk_bytes = 0;
  bool refuses_writes = false;
};

}  // namespace parlance
