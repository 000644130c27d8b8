// Group commit: everything that waits becomes one write with one sync, then every session hears.
//
// Thread: its own (it blocks on the disk). Owner of the writing side of the store. The first Append
// of a group sends a Flush to itself; what is in the mailbox before that joins the group, so a
// group grows with the load and a lone message waits for nobody.
#pragma once

#include <deque>

#include "actors/handles.h"
#include "actors/options.h"
#include "storage/store.h"

namespace parlance::actors {

class PersistenceActor final : public PersistenceHandle::base {
 public:
  PersistenceActor(caf::actor_config& config, storage::Store& store, const Options& options);
  behavior_type make_behavior() override;
  const char* name() const override { return "persistence"; }

 private:
  void commit_group();
  void commit_catalog();

  storage::Store& store_;
  const Options& options_;
  std::deque<Append> waiting_;
  std::vector<ChangeCatalog> catalog_;  ///< Wait, too.
  bool flush_sent_ = false;
};

}  // namespace parlance::actors
