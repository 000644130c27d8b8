#include "net/websocket_peer.h"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>
#include <sys/socket.h>

#include "base/metrics.h"
#include "net/deflate.h"

namespace parlance::net {
namespace {

constexpr std::uint8_t kPingsUnansweredMax = 2;
/// What read_timeout is for, of a longer message.
constexpr std::size_t kTimedPartBytes = 1 << 20;

const Frame& ping_frame() {
  static const Frame frame = std::make_shared<const std::string>(encode_frame(Opcode::ping, {}));
  return frame;
}

MessageInflater& inflater() {
  static DeflateInflater instance;  // Has no state of its own.
  return instance;
}

}  // namespace

WebSocketPeer::WebSocketPeer(Core& core, UniqueFd fd, ConnectionPermit permit, bool deflate)
    : StreamSocket(core, std::move(fd), std::move(permit),
                   deflate ? Wire::websocket_deflate : Wire::websocket),
      last_heard_(core.now()),
      deflate_(deflate) {}

WebSocketPeer::~WebSocketPeer() = default;

void WebSocketPeer::begin_reading(std::string read_ahead) {
  schedule_ping();
  if (core().draining()) return end(core().retry_after());
  if (!read_ahead.empty()) consume(read_ahead);
}

// ---- Reading ----

void WebSocketPeer::on_readable() {
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

void WebSocketPeer::consume(std::span<char> bytes) {
  const std::size_t buffered_before = buffered();
  const std::size_t received_before = reader_.received_bytes();
  const bool was_partial = reader_.partial();
  message_ended_ = false;
  const FrameReader::Outcome outcome =
      reader_.read(bytes, message_bytes_max(), *this, deflate_ ? &inflater() : nullptr);
  if (!closing()) {
    if (outcome.error) {
      metrics::get().input_refused.add();
      close(outcome.error->code, outcome.error->reason);
    } else if (outcome.consumed < bytes.size()) {
      keep_unread(bytes.subspan(outcome.consumed));
    } else if (!reader_.partial() && !may_go_on()) {
      pause_reading(true);  // The end of what was read was the end of a message.
    }
  }
  const bool next_part =
      reader_.received_bytes() / kTimedPartBytes > received_before / kTimedPartBytes;
  if (!was_partial || message_ended_ || next_part) partial_since_ = core().now();
  watch_partial(buffered_before);
}

void WebSocketPeer::keep_unread(std::span<const char> bytes) {
  unread_ = std::make_unique<std::string>(bytes.data(), bytes.size());
  pause_reading(true);
}

std::size_t WebSocketPeer::buffered() const noexcept {
  return reader_.buffered_bytes() + (unread_ ? unread_->capacity() : 0);
}

/// Accounts for what is kept of an incomplete message and of unread ones, and limits how much; and
/// how long the former.
void WebSocketPeer::watch_partial(std::size_t buffered_before) {
  std::size_t& total = partial_total();
  total = total - buffered_before + buffered();
  if (closing() || !(reader_.partial() || unread_)) return;
  if (total > partial_total_max()) {
    return close(CloseCode::try_again_later, "too many incomplete or unread messages");
  }
  if (!reader_.partial()) return;
  core().schedule(*this, partial_since_ + core().ticks_past(core().options().read_timeout));
}

/// Reads on after a pause, in the flush at the end of the turn: the read buffer is free then.
void WebSocketPeer::go_on() {
  if (!reading_paused() || !may_go_on()) return;
  if (unread_) {
    const std::unique_ptr<std::string> bytes = std::move(unread_);
    partial_total() -= bytes->capacity();
    consume(*bytes);
  }
  if (!unread_ && !closing()) pause_reading(false);
}

void WebSocketPeer::on_room() {
  go_on();
}

bool WebSocketPeer::on_message(Opcode opcode, std::string_view payload) {
  return begins(payload) && on_client_message(opcode, payload);
}

bool WebSocketPeer::on_long_message(Opcode opcode, std::string&& payload) {
  return begins(payload) && on_long_client_message(opcode, std::move(payload));
}

/// Counts a message; false when it is one too many of those that say nothing.
bool WebSocketPeer::begins(std::string_view payload) {
  ++core().counts.frames_received;
  message_ended_ = true;
  return !(payload.empty() && control_flood());
}

bool WebSocketPeer::on_ping(std::string_view payload) {
  if (control_flood()) return false;
  push(std::make_shared<const std::string>(encode_frame(Opcode::pong, payload)));
  return may_go_on();
}

bool WebSocketPeer::on_pong(std::string_view /*payload*/) {
  return !control_flood();
}

bool WebSocketPeer::on_close(CloseCode code, std::string_view /*reason*/) {
  close(code == CloseCode::no_code ? CloseCode::normal : code, {});
  return false;
}

/// Counts frames that cost us work and the client nothing; closes past the limit.
bool WebSocketPeer::control_flood() {
  if (control_tick_ != core().now()) {
    control_tick_ = core().now();
    control_frames_ = 0;
  }
  if (++control_frames_ <= core().options().control_frames_max) return false;
  metrics::get().input_refused.add();
  close(CloseCode::policy_violation, "too many control frames");
  return true;
}

// ---- Time ----

/// A little different for each connection, so that those that came together are not due together.
Tick WebSocketPeer::ping_interval() const {
  const Tick whole = core().ticks(core().options().ping_interval);
  return whole - slot() % (whole / 4 + 1);
}

void WebSocketPeer::schedule_ping() {
  core().schedule(*this, last_heard_ + ping_interval() * (pings_unanswered_ + 1U));
}

void WebSocketPeer::on_due() {
  if (close_is_due()) return;
  if (reader_.partial()) {
    const Tick deadline = partial_since_ + core().ticks_past(core().options().read_timeout);
    if (core().now() >= deadline) {
      metrics::get().input_refused.add();
      return close(CloseCode::policy_violation, "a message took too long to arrive");
    }
    core().schedule(*this, deadline);
  }
  // Whoever is not read cannot be heard.
  if (reading_paused() && !write_stalled()) last_heard_ = core().now();
  if (core().now() - last_heard_ >= ping_interval() * (pings_unanswered_ + 1U)) {
    if (pings_unanswered_ >= kPingsUnansweredMax) return core().retire(*this);
    ++pings_unanswered_;
    push(ping_frame());
  }
  schedule_ping();
}

// ---- The end ----

void WebSocketPeer::close(CloseCode code, std::string_view reason) {
  if (closing()) return;
  push(std::make_shared<const std::string>(encode_close(code, reason)));
  begin_close();
}

void WebSocketPeer::end(std::chrono::seconds retry_after) {
  close(CloseCode::service_restart, fmt::format("retry_after={}", retry_after.count()));
}

}  // namespace parlance::net
