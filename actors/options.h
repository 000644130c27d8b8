// Options of the sessions and of what they stand on.
#pragma once

#include <chrono>
#include <cstddef>

namespace parlance::actors {

struct Options {
  /// Threads that run sockets and actors. 0: one per processor that the process may use.
  std::size_t cores = 0;
  /// A session actor that did nothing for this long is put away; its log stays, a socket that
  /// watches it stays open.
  std::chrono::milliseconds idle_timeout{30'000};
  std::size_t sessions_awake_max = 100'000;  ///< Session actors in memory, the whole node.
  std::size_t queue_max = 16;                ///< Messages that wait behind a run, per session.
  std::size_t history_load_bytes_max = 256 << 10;  ///< Read from the log when a session wakes.
  /// Text of an answer in progress is made durable at least this often...
  std::chrono::milliseconds partial_interval{500};
  std::size_t partial_bytes = 2 << 10;     ///< ...or after this much.
  std::size_t group_bytes_max = 4 << 20;   ///< Bytes made durable with one sync.
  std::size_t group_requests_max = 4'096;  ///< Sessions in one group.
  std::size_t readers = 2;                 ///< Threads that read the log.
  std::size_t tool_threads = 2;            ///< Threads that run tools.
  std::size_t workers = 2;                 ///< Threads for parsing bodies and hashing secrets.
  std::size_t intake_workers = 2;       ///< Threads that read and cut documents: how many at once.
  std::size_t speech_workers = 2;       ///< Threads that hear and speak offline.
  std::size_t speech_waiting_max = 64;  ///< Voice messages that wait for them.
  std::chrono::milliseconds audio_age_max{
      2'592'000'000};  ///< Recordings are kept so long; 0: for ever.
  std::chrono::milliseconds audio_sweep_interval{3'600'000};  ///< Between two looks for older ones.
  std::size_t probe_workers = 2;         ///< Threads that look into recordings.
  std::size_t probes_waiting_max = 64;   ///< Recordings that wait for them.
  std::size_t work_waiting_max = 4'096;  ///< Of either kind.
  std::size_t run_once_max = 256;        ///< Runs without a session at once, per core.
  /// After which nobody can come into a temporary session: it is closed then.
  std::chrono::milliseconds temporary_lifetime{1'860'000};
  std::chrono::milliseconds expiry_interval{60'000};  ///< Between two looks for such sessions.
};

}  // namespace parlance::actors
