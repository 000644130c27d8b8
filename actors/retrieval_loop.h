// Finds passages of a session's documents: embeds the question, searches, reads the texts; in the
// store's own indexes or in a Chroma server. Also the way by which workers reach the embedding
// models and Chroma.
//
// Thread: one of its own, an event loop, so that a slow upstream keeps nobody but its own askers
// waiting; the store is read on it, too. Every call below may come from any thread. Owned by
// actor_tree. Owns the indexes of the sessions that were asked lately.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "actors/prepared_documents.h"
#include "agent/options.h"
#include "agent/turn.h"
#include "base/result.h"
#include "llm/options.h"
#include "rag/options.h"
#include "schemas/ids.h"
#include "storage/store.h"

namespace parlance::actors {

class RetrievalLoop {
 public:
  using FoundReply = std::function<void(Result<agent::PassagesFound>)>;

  struct Surroundings {
    const storage::Store& store;
    const llm::Options& models;
    const rag::Options& options;
    /// Called when nothing is left in Chroma of what was begun.
    std::function<void(const storage::BegunSet&)> cleaned;
    /// Called with sessions that were erased, once in a while; again later where it says false.
    std::function<bool(std::vector<SessionId>)> scrub;
  };

  explicit RetrievalLoop(Surroundings surroundings);
  ~RetrievalLoop();

  /// Ends the loop and what waits in it; workers that wait are let go with unavailable. Not from
  /// its own thread. Nothing may be asked of it afterwards but what workers still do.
  void stop();

  /// Whether passages are searched for in a Chroma server.
  bool remote() const noexcept;

  /// The best passages for `query` among those that `tool` finds in the session's documents.
  /// `reply` is called on the loop's thread, once; not at all when the loop ends before.
  /// Errors: unavailable, deadline_exceeded, failed_precondition, corrupted.
  void search(SessionId session, agent::StackTool tool, std::string query, FoundReply reply);

  /// The texts' vectors for `tool`. Blocks; a worker's. Errors as of llm::EmbeddingsClient.
  Result<std::vector<std::vector<float>>> embed(const agent::StackTool& tool,
                                                std::vector<std::string> texts);
  /// Puts the passages of a set into Chroma. Blocks; a worker's. A failure leaves some of them
  /// there, which no search finds: to be cleaned up.
  Status add_remotely(const SessionId& session, std::uint64_t set, const PreparedSet& prepared);

  /// Removes from Chroma what is there of a set that was begun and is not stored, or with
  /// storage::kWholeSession of the session; tried again until it works. Then `cleaned` is called.
  void clean_up(SessionId session, std::uint64_t set);
  /// The session was erased: lets go of what is kept of it here, and in Chroma.
  void erase(SessionId session);
  /// Has `scrub` called for a session that was erased.
  void scrub(SessionId session);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace parlance::actors
