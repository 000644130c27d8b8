// Everything a client may change. Imperatives; plain data.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "schemas/audio.h"
#include "schemas/ids.h"

namespace parlance {

/// What becomes of a message that arrives while a run is in progress.
enum class OnBusy : std::uint8_t {
  queue = 0,      ///< Waits its turn (bounded). The default.
  reject = 1,     ///< Refused.
  interrupt = 2,  ///< The run in progress is cancelled, then this one runs.
  steer = 3,      ///< Handed to the run in progress at its next step; ends together with it.
};

/// A user's message: starts a run, or is handled as `on_busy` says.
struct SubmitMessage {
  MessageId message_id;
  std::string text;  ///< Valid UTF-8; empty for a voice message that was not heard yet.
  OnBusy on_busy = OnBusy::queue;
  std::string idempotency_key;  ///< Empty when the caller gave none.
  /// From the session's own client: refused unless the session was authorized and initialized.
  bool of_client = false;
  /// The id was drawn for this request: a repeat of its key is the same message when what it says
  /// is.
  bool drawn_id = false;
  MessageId retry_of = {};  ///< The message that this one runs again; empty: none.
  std::shared_ptr<const VoiceInput> voice = {};  ///< Null: it was written.
};

/// Ends one message's run, or takes it out of the queue. Without an id: the run in progress.
struct CancelMessage {
  std::optional<MessageId> message_id;
};

/// What a submitted message became. Sent only after it is durable.
struct SubmitAccepted {
  MessageId message_id;
  Cursor cursor;           ///< Of the recorded message; of the first time when `duplicate`.
  bool duplicate = false;  ///< The id was seen before; nothing new was started.
};

}  // namespace parlance
