#include "net/websocket_connection.h"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/metrics.h"
#include "dialects/step_stream.h"
#include "net/deflate.h"

namespace parlance::net {
namespace {

namespace step_stream = dialects::step_stream;

constexpr std::uint8_t kPingsUnansweredMax = 2;

const Frame& ping_frame() {
  static const Frame frame = std::make_shared<const std::string>(encode_frame(Opcode::ping, {}));
  return frame;
}

MessageInflater& inflater() {
  static DeflateInflater instance;  // Has no state of its own.
  return instance;
}

WebSocketConnection* connection(const SubscriberRef& ref) {
  return static_cast<WebSocketConnection*>(ref.get());
}

}  // namespace

// Ten thousand idle ones hold this and nothing else.
static_assert(sizeof(WebSocketConnection) <= 320);

void open_websocket(Core& core, WebSocketOpening opening) {
  auto made = std::make_unique<WebSocketConnection>(core, opening);
  WebSocketConnection& connection = *made;
  if (core.adopt(std::move(made))) connection.begin(opening);
}

WebSocketConnection::WebSocketConnection(Core& core, WebSocketOpening& opening)
    : StreamSocket(core, std::move(opening.fd), std::move(opening.permit),
                   opening.deflate ? Wire::websocket_deflate : Wire::websocket),
      last_heard_(core.now()),
      deflate_(opening.deflate) {}

WebSocketConnection::~WebSocketConnection() {
  core().partial_bytes -= buffered();
}

void WebSocketConnection::begin(WebSocketOpening& opening) {
  push(std::make_shared<const std::string>(std::move(opening.answer)));
  core().fanout().attach(*this, std::move(opening.session), opening.attach);
  schedule_ping();
  if (core().draining()) return end(core().retry_after());
  if (!opening.read_ahead.empty()) consume(opening.read_ahead);
}

// ---- Reading ----

void WebSocketConnection::on_readable() {
  if (closing()) return discard_input();
  const std::span<char> buffer = core().read_buffer();
  const ssize_t got = recv(fd(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (got < 0 && errno == EAGAIN) return;
  if (got < 0 && errno == EINTR) return read_again();
  if (got <= 0) return core().retire(*this);
  last_heard_ = core().now();
  pings_unanswered_ = 0;
  consume(buffer.first(static_cast<std::size_t>(got)));
  if (static_cast<std::size_t>(got) == buffer.size()) read_again();
}

void WebSocketConnection::consume(std::span<char> bytes) {
  const std::size_t buffered_before = buffered();
  const bool was_partial = reader_.partial();
  message_ended_ = false;
  const FrameReader::Outcome outcome = reader_.read(bytes, core().options().frame_bytes_max, *this,
                                                    deflate_ ? &inflater() : nullptr);
  if (!closing()) {
    if (outcome.error) {
      metrics::get().input_refused.add();
      close(outcome.error->code, outcome.error->reason);
    } else if (outcome.consumed < bytes.size()) {
      keep_unread(bytes.subspan(outcome.consumed));
    }
  }
  if (!was_partial || message_ended_) partial_since_ = core().now();
  watch_partial(buffered_before);
}

void WebSocketConnection::keep_unread(std::span<const char> bytes) {
  unread_ = std::make_unique<std::string>(bytes.data(), bytes.size());
  pause_reading(true);
}

std::size_t WebSocketConnection::buffered() const noexcept {
  return reader_.buffered_bytes() + (unread_ ? unread_->capacity() : 0);
}

/// Accounts for what is kept of an incomplete message and of unread ones, and limits how much; and
/// how long the former.
void WebSocketConnection::watch_partial(std::size_t buffered_before) {
  std::size_t& total = core().partial_bytes;
  total = total - buffered_before + buffered();
  if (closing() || !(reader_.partial() || unread_)) return;
  if (total > core().options().partial_bytes_max) {
    return close(CloseCode::try_again_later, "too many incomplete or unread messages");
  }
  if (!reader_.partial()) return;
  core().schedule(*this, partial_since_ + core().ticks_past(core().options().read_timeout));
}

bool WebSocketConnection::may_go_on() const {
  const Options& options = core().options();
  return !closing() && !history_pending_ && in_flight_ < options.commands_in_flight_max &&
         queued_bytes() <= options.write_queue_bytes_max / 4;
}

/// Reads on after a pause, in the flush at the end of the turn: the read buffer is free then.
void WebSocketConnection::go_on() {
  if (!reading_paused() || !may_go_on()) return;
  if (unread_) {
    const std::unique_ptr<std::string> bytes = std::move(unread_);
    core().partial_bytes -= bytes->capacity();
    consume(*bytes);
  }
  if (!unread_ && !closing()) pause_reading(false);
}

void WebSocketConnection::on_room() {
  go_on();
}

bool WebSocketConnection::on_message(Opcode opcode, std::string_view payload) {
  ++core().counts.frames_received;
  message_ended_ = true;
  if (payload.empty() && control_flood()) return false;
  if (opcode != Opcode::text) {
    send_error("the frame is binary; a text frame with JSON is expected", {});
    return may_go_on();
  }
  const Options& options = core().options();
  step_stream::ClientFrame frame = step_stream::parse_frame(
      payload,
      {.message_bytes_max = options.message_bytes_max, .ping_bytes_max = options.ping_bytes_max});
  if (auto* submitted = std::get_if<SubmitMessage>(&frame)) {
    submit(std::move(*submitted));
  } else if (auto* cancelled = std::get_if<CancelMessage>(&frame)) {
    cancel(std::move(*cancelled));
  } else if (auto* pinged = std::get_if<step_stream::Ping>(&frame)) {
    ping(std::move(pinged->data));
  } else if (std::get_if<step_stream::GetHistory>(&frame) != nullptr) {
    history_pending_ = true;
    core().fanout().send_history(*this);
  } else {
    const auto& bad = std::get<step_stream::BadFrame>(frame);
    send_error(bad.error, bad.message_id);
  }
  return may_go_on();
}

bool WebSocketConnection::on_ping(std::string_view payload) {
  if (control_flood()) return false;
  push(std::make_shared<const std::string>(encode_frame(Opcode::pong, payload)));
  return may_go_on();
}

bool WebSocketConnection::on_pong(std::string_view /*payload*/) {
  return !control_flood();
}

bool WebSocketConnection::on_close(CloseCode code, std::string_view /*reason*/) {
  close(code == CloseCode::no_code ? CloseCode::normal : code, {});
  return false;
}

/// Counts frames that cost us work and the client nothing; closes past the limit.
bool WebSocketConnection::control_flood() {
  if (control_tick_ != core().now()) {
    control_tick_ = core().now();
    control_frames_ = 0;
  }
  if (++control_frames_ <= core().options().control_frames_max) return false;
  metrics::get().input_refused.add();
  close(CloseCode::policy_violation, "too many control frames");
  return true;
}

// ---- Commands ----

void WebSocketConnection::submit(SubmitMessage command) {
  ++in_flight_;
  MessageId id = command.message_id;
  core().gateway().submit(
      session(), std::move(command),
      [ref = core().fanout().ref(*this), id = std::move(id)](Result<SubmitAccepted> accepted) {
        WebSocketConnection* const self = connection(ref);
        if (self == nullptr) return;
        if (accepted && accepted->duplicate) {
          // Its answer counts as given when the run has been told again.
          return self->core().fanout().replay(*self, id, accepted->cursor);
        }
        if (!accepted) self->send_error(accepted.error().detail, id);
        self->answered();
      });
}

void WebSocketConnection::cancel(CancelMessage command) {
  ++in_flight_;
  std::optional<MessageId> id = command.message_id;
  core().gateway().cancel(
      session(), std::move(command),
      [ref = core().fanout().ref(*this), id = std::move(id)](const Status& status) {
        WebSocketConnection* const self = connection(ref);
        if (self == nullptr) return;
        if (!status) self->send_error(status.error().detail, id);
        self->answered();
      });
}

void WebSocketConnection::ping(std::optional<std::string> data) {
  ++in_flight_;
  // Two lambdas of 16 bytes, since std::function keeps those without an allocation.
  const SubscriberRef ref = core().fanout().ref(*this);
  if (data) {
    core().gateway().ping(session(), std::move(*data),
                          [ref](const Status& status, std::string echoed) {
                            on_pong_reply(ref, status, std::move(echoed));
                          });
  } else {
    core().gateway().ping(session(), {}, [ref](const Status& status, const std::string&) {
      on_pong_reply(ref, status, std::nullopt);
    });
  }
}

void WebSocketConnection::on_pong_reply(const SubscriberRef& ref, const Status& status,
                                        const std::optional<std::string>& data) {
  WebSocketConnection* const self = connection(ref);
  if (self == nullptr) return;
  if (status) {
    self->send_json(
        [&](std::string& out) { step_stream::append_pong(out, self->session().text, data); });
  } else {
    self->send_error(status.error().detail, {});
  }
  self->answered();
}

void WebSocketConnection::answered() {
  --in_flight_;
  if (reading_paused()) core().flush_later(*this);
}

void WebSocketConnection::on_told(Told told) {
  if (told == Told::replay) return answered();
  history_pending_ = false;
  if (reading_paused()) core().flush_later(*this);
}

template <class Append>
void WebSocketConnection::send_json(Append append) {
  std::string& json = core().scratch();
  json.clear();
  append(json);
  send(encode_for(wire(), json, {}, core().options()), 0, Pace::live);
}

void WebSocketConnection::send_error(std::string_view error,
                                     const std::optional<MessageId>& message_id) {
  metrics::get().input_refused.add();
  send_json(
      [&](std::string& out) { step_stream::append_error(out, session().text, error, message_id); });
}

// ---- Time ----

/// A little different for each connection, so that those that came together are not due together.
Tick WebSocketConnection::ping_interval() const {
  const Tick whole = core().ticks(core().options().ping_interval);
  return whole - slot() % (whole / 4 + 1);
}

void WebSocketConnection::schedule_ping() {
  core().schedule(*this, last_heard_ + ping_interval() * (pings_unanswered_ + 1U));
}

void WebSocketConnection::on_due() {
  if (close_is_due()) return;
  if (reader_.partial()) {
    const Tick deadline = partial_since_ + core().ticks_past(core().options().read_timeout);
    if (core().now() >= deadline) {
      metrics::get().input_refused.add();
      return close(CloseCode::policy_violation, "a message took too long to arrive");
    }
    core().schedule(*this, deadline);
  }
  if (core().now() - last_heard_ >= ping_interval() * (pings_unanswered_ + 1U)) {
    if (pings_unanswered_ >= kPingsUnansweredMax) return core().retire(*this);
    ++pings_unanswered_;
    push(ping_frame());
  }
  schedule_ping();
}

// ---- The end ----

void WebSocketConnection::close(CloseCode code, std::string_view reason) {
  if (closing()) return;
  push(std::make_shared<const std::string>(encode_close(code, reason)));
  begin_close();
}

void WebSocketConnection::end(std::chrono::seconds retry_after) {
  close(CloseCode::service_restart, fmt::format("retry_after={}", retry_after.count()));
}

void WebSocketConnection::on_overflow() {
  drop_unsent();
  const EventSeq seq = last_seq_written();
  close(CloseCode::try_again_later, seq == 0
                                        ? "too slow; resume from your last cursor"
                                        : fmt::format("too slow; resume with after={}",
                                                      to_string(Cursor{position().epoch, seq})));
}

void WebSocketConnection::on_failed(const Error& error) {
  close(error.code == Errc::unavailable ? CloseCode::try_again_later : CloseCode::internal_error,
        "the log cannot be read; resume from your last cursor");
}

}  // namespace parlance::net
