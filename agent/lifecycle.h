// The life of a client's session, as a pure state machine:
//
//   authorize ──> authorized ──initialize──> initialized <──reauthorize──> reauthorized
//                     ^                           │                              │
//                     └──reauthorize── closed <───┴───────────close──────────────┘
//
// A temporary session that is closed is deactivated, for ever, and so is any that is removed. A
// command that the state does not fit is refused and changes nothing.
#pragma once

#include <optional>

#include "base/result.h"
#include "schemas/client.h"

namespace parlance::agent {

/// The state after `command`. `client` is null where nobody authorized the session.
/// Errors: unauthenticated (no such client, deactivated, or temporary and to be let in again),
/// not_found (it was deleted), failed_precondition (the state does not fit, or somebody else is to
/// be asked).
Result<LifecycleState> next_state(const ClientRecord* client, LifecycleCommand command);

/// Whether the session takes queries and documents of its client. Errors as above.
Status takes_work(const ClientRecord* client);

}  // namespace parlance::agent
