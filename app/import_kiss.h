// Reads the clients of a stack server's `sessions.db` (SQLite), so that they keep their
// credentials. Owner: the import command. Main thread. Blocks: each secret is hashed on the way in,
// which takes about ten milliseconds. The file is never written, nor is anything beside it made:
// with a log beside it (`-wal`) it is read without locks and with its index in memory, else as a
// file that does not change. So it may lie on a read-only place, and the old server must be
// stopped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace parlance::app {

struct ImportedClient {
  std::string client_id;    ///< Also a valid session id.
  std::string scope;        ///< "temporary" or "persistent".
  std::string secret_hash;  ///< As auth/secret_hash.h makes and verifies it.
  bool active = true;
  WallTime created_at;
};

/// Keeps one client, whole or not at all. True: it is new; false: there was one of that id already,
/// which is left as it is.
using StoreClient = std::function<Result<bool>(const ImportedClient&)>;

struct ImportReport {
  struct Refusal {
    std::uint64_t row = 0;  ///< 1 is the first.
    std::string reason;
  };
  static constexpr std::size_t kRefusalsMax = 100;  ///< Kept; all are counted.

  std::uint64_t imported = 0;
  std::uint64_t skipped = 0;  ///< There already.
  std::uint64_t refused = 0;
  std::vector<Refusal> refusals;
};

class KissImport {
 public:
  /// Errors: not_found, invalid_argument (no SQLite database, no table `sessions`, or one without a
  /// column that is needed), failed_precondition (a crash left a journal that is not rolled back),
  /// unavailable, corrupted.
  static Result<KissImport> open(const std::string& path);
  KissImport(KissImport&&) noexcept;
  KissImport& operator=(KissImport&&) noexcept;
  ~KissImport();

  /// Hands every row that is good to `store`, in the file's order. `progress` is called after every
  /// hundredth row. What a row without a time gets is `now`.
  /// Errors: that of `store`, which ends the import; corrupted. Rows before it stay imported, and
  /// are skipped when it is run again.
  Result<ImportReport> run(WallTime now, const StoreClient& store,
                           const std::function<void(const ImportReport&)>& progress);

 private:
  class Database;
  explicit KissImport(std::unique_ptr<Database> database);
  std::unique_ptr<Database> database_;
};

}  // namespace parlance::app
