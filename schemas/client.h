// Clients: those who authorized a session of their own, and where it is in its life.
#pragma once

#include <cstdint>
#include <string>

#include "base/clock.h"
#include "schemas/ids.h"

namespace parlance {

enum class Scope : std::uint8_t {
  temporary = 0,   ///< Ends with its close, and what it stored with it.
  persistent = 1,  ///< Can be authorized again with its secret, also after a close or a restart.
  platform = 2,    ///< No client's: a session of the platform, which has an agent. And what stays
                   ///< of a chat that was deleted.
};

/// "temporary", "persistent".
const char* to_string(Scope scope) noexcept;

/// ON_AUTH -> authorized -> ON_INIT -> initialized -> ON_CLOSE -> closed or deactivated.
enum class LifecycleState : std::uint8_t {
  authorized = 0,    ///< May be initialized.
  initialized = 1,   ///< Takes queries and documents.
  reauthorized = 2,  ///< The same, and may be initialized once more: by who just authorized.
  closed = 3,        ///< May be authorized again.
  deactivated = 4,   ///< For ever: a closed temporary session, or one that was deleted.
};

/// "authorized", "initialized", ...
const char* to_string(LifecycleState state) noexcept;

/// What is asked of a session's life.
enum class LifecycleCommand : std::uint8_t {
  authorize,    ///< ON_AUTH of a new client.
  reauthorize,  ///< ON_AUTH with the secret, which was checked.
  check,        ///< Changes nothing: may this client still come in?
  initialize,   ///< ON_INIT.
  close,        ///< ON_CLOSE. Of a temporary session nothing stays but that it was.
  expire,       ///< Closes a temporary session that nobody can come into any more, and a platform
                ///< session that was deleted.
  remove,       ///< Its client deletes it, whatever its scope and wherever it is in its life.
  remove_chat,  ///< Somebody deletes a chat, which is no client's and not the platform's.
};

/// What is kept of a client beside its session's log; its id is the session's.
struct ClientRecord {
  Scope scope = Scope::temporary;
  LifecycleState state = LifecycleState::authorized;
  std::string secret_hash;  ///< Argon2id, as auth/secret_hash writes it.
  WallTime created_at;
  std::uint64_t last_set = 0;  ///< Of documents; the number of the newest that was begun.
  friend bool operator==(const ClientRecord&, const ClientRecord&) = default;
};

}  // namespace parlance
