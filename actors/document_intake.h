// What workers do with documents that are to be stored: texts out of files, passages out of texts,
// terms and vectors out of passages; later the passages into the store, or into Chroma.
// Thread: any worker; both calls block and take long. Owned by actor_tree; keeps no state.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "actors/handles.h"
#include "actors/prepared_documents.h"
#include "agent/options.h"
#include "extract/options.h"
#include "rag/options.h"
#include "storage/store.h"

namespace parlance::actors {

class RetrievalLoop;

class DocumentIntake {
 public:
  DocumentIntake(const storage::Store& store, RetrievalLoop& retrieval,
                 const PersistenceHandle& persistence, const agent::Stack& stack,
                 const rag::Options& options, extract::Options extraction);

  /// Makes a set of `request`, or finds what its key stands for. Ends early once `wanted` is false.
  /// Errors: already_exists (an id or the key is in use), unsupported, unprocessable, too_large (of
  /// a document, which is named), failed_precondition (no tool takes documents), unavailable,
  /// cancelled.
  Result<PreparedDocuments> prepare(const SessionId& session, const StoreDocuments& request,
                                    const std::atomic<bool>& wanted) const;

  /// Writes the passages of a set that was begun. Errors: unavailable, cancelled.
  Status write(const SessionId& session, std::uint64_t set, const PreparedSet& prepared,
               const std::atomic<bool>& wanted) const;

 private:
  Status check_ids(const SessionId& session, const StoreDocuments& request) const;
  Status cut(const std::vector<std::string>& texts, PreparedSet& out,
             const std::atomic<bool>& wanted) const;
  Status embed(PreparedSet& out, const std::atomic<bool>& wanted) const;
  Status write_passages(const SessionId& session, std::uint64_t set, const PreparedSet& prepared,
                        const std::atomic<bool>& wanted) const;

  const storage::Store& store_;
  RetrievalLoop& retrieval_;
  /// Weak: this outlives the actor, for the workers' sake, and must not keep it.
  const caf::weak_actor_ptr persistence_;
  const rag::Options& options_;
  const extract::Options extraction_;
  std::vector<agent::StackTool> tools_;  ///< Those that answer from documents.
};

}  // namespace parlance::actors
