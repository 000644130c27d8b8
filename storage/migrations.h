// The layouts that the store has had, as numbered steps from each to the next, forward only.
//
// Main thread, before anything else has the store. A step may be cut anywhere, also by a crash or a
// power cut: it is taken again from its beginning and goes on where it was. The number of a layout
// is written, with a sync, after all of its step is; so a number never says more than is true.
// A store of a newer layout is refused, and left as it is where it has column families that this
// program does not know.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "storage/options.h"
#include "storage/store.h"

namespace parlance::storage {

/// One step. To add a layout, add an entry to `migrations()`, and its keys to keys.h.
struct Migration {
  std::uint64_t layout = 0;           ///< What the store has afterwards.
  std::string what;                   ///< For people.
  std::vector<std::string> families;  ///< Column families that are new; made before `run`.
  /// The records that `run` has yet to change; reads only. Null: the step changes none.
  std::function<Result<std::uint64_t>(const Engine&)> count = nullptr;
  /// Changes them in batches, each of which leaves less to do; returns how many. Null: as above.
  std::function<Result<std::uint64_t>(Engine&)> run = nullptr;
};

/// All steps, oldest first. The last one's layout is what this program reads and writes.
std::span<const Migration> migrations();

struct MigrationPlan {
  struct Step {
    std::uint64_t layout = 0;
    std::string what;
    std::uint64_t records = 0;  ///< To change; or changed.
  };
  std::uint64_t layout = 0;  ///< That the store has.
  std::vector<Step> steps;   ///< Empty: it is the newest.
};

/// What `migrate` would do. Writes nothing, and keeps other processes from opening the store.
/// Errors: not_found (no store), unavailable (open in another process), failed_precondition (of a
/// newer layout), corrupted.
Result<MigrationPlan> plan_migration(const Options& options,
                                     std::span<const Migration> steps = migrations());

/// Brings the store to the newest layout; returns what was done. Errors: as above, and unavailable
/// where the disk fails: it goes on at the next call.
Result<MigrationPlan> migrate(const Options& options,
                              std::span<const Migration> steps = migrations());

struct OpenedStore {
  std::unique_ptr<Engine> engine;
  std::uint64_t epoch = 0;
  MigrationPlan done;
};

/// Opens the store with the newest layout, or makes it: what Store::open is made of.
Result<OpenedStore> open_newest(const Options& options, OldLayout old,
                                std::span<const Migration> steps);

}  // namespace parlance::storage
