// All actors of a node: spawns them in order, begins what a crash left unfinished, stops them in
// reverse. Owner: app/server. Names no CAF type. Main thread, unless said otherwise.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <vector>

#include "actors/options.h"
#include "actors/session_gateway.h"
#include "agent/options.h"
#include "extract/options.h"
#include "llm/options.h"
#include "rag/options.h"
#include "speech/options.h"
#include "storage/audio_files.h"
#include "storage/store.h"

namespace boost::asio {
class io_context;
}

namespace parlance::actors {

struct TreeOptions {
  Options sessions;
  agent::Options agent;
  llm::Options models;
  agent::Stack stack = {};
  rag::Options documents = {};
  extract::Options extraction = {};
  llm::SpeechOptions speech_provider = {};
  speech::Options offline_speech = {};
};

class ActorTree {
 public:
  /// Starts the core threads. `store` and `audio` must outlive the tree.
  ActorTree(const TreeOptions& options, storage::Store& store, const storage::AudioFiles& audio);
  ~ActorTree();

  std::size_t cores() const noexcept;
  boost::asio::io_context& io(std::size_t core);

  /// Spawns the actors; `sinks` has one front end per core and must outlive the tree's stop.
  void start(const std::vector<EventSink*>& sinks);

  /// The door of one core; valid after start.
  SessionGateway& gateway(std::size_t core);

  /// Finds every unfinished run and goes on with it. Returns how many sessions were woken.
  /// Errors: unavailable, corrupted.
  Result<std::size_t> recover();

  /// New messages are refused from now on; runs go on.
  void begin_stop();
  /// Waits until no run is in progress; false when `limit` passed first.
  bool wait_for_runs(std::chrono::milliseconds limit);
  /// Ends the runs without a session: nothing of them is stored, so they cannot go on later. Each
  /// is answered with unavailable.
  void end_runs_once();
  /// Ends all actors and core threads; the loops themselves live as long as the tree. Runs in
  /// progress stay unfinished in the log.
  void stop();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace parlance::actors
