#include "net/websocket_connection.h"

#include <fmt/format.h>

#include "base/log.h"
#include "base/metrics.h"
#include "dialects/step_stream.h"

namespace parlance::net {
namespace {

namespace step_stream = dialects::step_stream;

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
    : WebSocketPeer(core, std::move(opening.fd), std::move(opening.permit), opening.deflate) {}

WebSocketConnection::~WebSocketConnection() {
  partial_total() -= buffered();
}

void WebSocketConnection::begin(WebSocketOpening& opening) {
  push(std::make_shared<const std::string>(std::move(opening.answer)));
  core().fanout().attach(*this, std::move(opening.session), opening.attach);
  begin_reading(std::move(opening.read_ahead));
}

// ---- Reading ----

bool WebSocketConnection::may_go_on() const {
  const Options& options = core().options();
  return !closing() && !history_pending_ && in_flight_ < options.commands_in_flight_max &&
         queued_bytes() <= options.write_queue_bytes_max / 4;
}

bool WebSocketConnection::on_client_message(Opcode opcode, std::string_view payload) {
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

// ---- The end ----

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
