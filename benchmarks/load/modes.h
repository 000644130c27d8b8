#pragma once
// The modes of parlance-load: one options struct and one function each. Every function runs its own
// loop to the end, publishes a report, and returns the program's exit code. They throw
// std::exception for what can't be measured at all (no server there, connections refused).

#include <cstddef>
#include <cstdint>
#include <string>

#include "benchmarks/load/common.h"

namespace parlance::benchmarks {

/// Open loop: messages at Poisson times, whether answers come or not; latency from the intended
/// time.
struct RunOptions {
  CommonOptions common;
  size_t sessions = 100;
  double rate = 50;  // messages per second, all sessions together
  double duration_s = 10;
  double warmup_s = 2;
  double drain_s = 10;  // at most, for the last answers
  size_t message_bytes = 64;
  std::string text;  // begins every message; for scripts that match by text
};
int measure_run(const RunOptions& options);

/// Closed loop: one frame outstanding per connection, as fast as they come back.
struct EchoOptions {
  CommonOptions common;
  enum class Target { raw, ping } target = Target::raw;
  size_t connections = 50;
  size_t bytes = 64;
  double duration_s = 5;
  double warmup_s = 1;
};
int measure_echo(const EchoOptions& options);

/// Memory per attached session, by regression over growing numbers of them; then the price of doing
/// nothing.
struct IdleOptions {
  CommonOptions common;
  size_t from = 2'000;
  size_t to = 15'000;
  size_t steps = 7;
  size_t exchange_bytes =
      0;  // 0: nothing is said; else each session first gets an answer to so many
  size_t exchanges_max = 64;  // under way at one time
  double settle_s = 2;
  size_t idle_sockets = 10'000;
  double idle_s = 30;
};
int measure_idle(const IdleOptions& options);

/// Closed loop of messages to be stored: how many become durable per second.
struct DurableOptions {
  CommonOptions common;
  size_t sessions = 256;
  size_t inflight = 4;  // messages per session
  enum class Release { ack, end } release = Release::end;
  size_t bytes = 512;
  double duration_s = 10;
  double warmup_s = 2;
  std::string on_busy;
};
int measure_durable(const DurableOptions& options);

/// The same model call without the server: straight to the upstream, or through a proxy.
struct DirectOptions {
  CommonOptions common;  // of its fleet only the api_key
  std::string url;       // of the chat completions route
  double rate = 50;      // requests per second; 0: closed loop
  size_t concurrency = 8;
  double duration_s = 10;
  double warmup_s = 2;
  double drain_s = 10;
  std::string model = "simulated";
  size_t message_bytes = 64;
};
int measure_direct(const DirectOptions& options);

/// The first word to a sleeping session.
struct WakeOptions {
  CommonOptions common;
  size_t chats = 1'000;
  bool prepare = false;  // only make the chats and their history
  size_t history_messages = 4;
  size_t message_bytes = 256;
  double settle_s = 1;
};
int measure_wake(const WakeOptions& options);

/// POST /queries of the KISS stack, one connection and one session each.
struct KissOptions {
  CommonOptions common;  // of its fleet nothing
  std::string url;
  size_t sessions = 32;
  double rate = 50;  // queries per second, all sessions together; 0: closed loop
  double duration_s = 10;
  double warmup_s = 2;
  double drain_s = 10;  // at most, for the last answers
  size_t message_bytes = 64;
};
int measure_kiss(const KissOptions& options);

/// Files stored in one request of the KISS stack, then questions about them; a session each time.
struct KissStoreOptions {
  CommonOptions common;  // of its fleet nothing
  std::string url;
  size_t files = 100;
  size_t file_bytes = 50 << 10;
  size_t questions = 2;   // the first of them makes the index
  double duration_s = 0;  // again and again for so long; at least once
};
int measure_kiss_store(const KissStoreOptions& options);

/// One request again and again, of any server.
struct HttpOptions {
  CommonOptions common;  // of its fleet nothing
  std::string url;
  size_t connections = 32;
  std::string body;  // posted; empty: GET
  double duration_s = 10;
  double warmup_s = 2;
};
int measure_http(const HttpOptions& options);

}  // namespace parlance::benchmarks
