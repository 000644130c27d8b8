// Events to bytes and back: the one codec for the disk (docs/formats.md has the layout).
// Pure; any thread. Old versions stay readable: a new field makes a new version of the layout.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "schemas/event.h"

namespace parlance {

/// The bytes of `event` with its time. The place in the log is in the key, not here.
std::string encode(const Event& event, WallTime time);

struct DecodedEvent {
  WallTime time;
  Event event;
};

/// Errors: corrupted (wrong version, cut short, bytes left over).
Result<DecodedEvent> decode(std::string_view bytes);

}  // namespace parlance
