// Blocking reads of the log. Thread: its own; there are Options::readers of them.
#pragma once

#include "actors/handles.h"
#include "storage/store.h"

namespace parlance::actors {

class HistoryReaderActor final : public HistoryReaderHandle::base {
 public:
  HistoryReaderActor(caf::actor_config& config, const storage::Store& store,
                     std::size_t load_bytes_max);
  behavior_type make_behavior() override;
  const char* name() const override { return "history reader"; }

 private:
  const storage::Store& store_;
  std::size_t load_bytes_max_;
};

}  // namespace parlance::actors
