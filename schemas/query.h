// What may be read without changing anything.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "schemas/event.h"
#include "schemas/ids.h"

namespace parlance {

/// A range of one session's log. Pages are bounded by both limits; at least one event is returned
/// when there is one.
struct ReadEvents {
  EventSeq after = 0;              ///< Forward: events with seq > after.
  std::optional<EventSeq> before;  ///< Backward: the last events with seq < before, in log order.
  bool from_end = false;           ///< Backward from the end of the log (`before` unset).
  std::size_t events_max = 256;
  std::size_t bytes_max = 1 << 20;
};

struct EventPage {
  std::vector<RecordedEvent> events;  ///< In log order.
  Cursor last;  ///< The log's last event when the page was read; seq 0 for an unknown session.
};

}  // namespace parlance
