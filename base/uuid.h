// UUIDs of version 7 (RFC 9562): names that sort by the time they were drawn at. Their text is 36
// characters in lower case. Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace parlance {

/// A fresh one, greater than all that this process drew before, whatever the clock does.
std::string uuid7();

/// The one that belongs to place `seq` of what `name` names, at `time`: the same for the same
/// arguments on every machine. Not for secrets: who knows the arguments knows it.
std::string derived_uuid7(WallTime time, std::string_view name, std::uint64_t seq);

/// True for any UUID, of whatever version, in lower case.
bool is_uuid(std::string_view text) noexcept;

}  // namespace parlance
