#include "net/sse_response.h"

#include <fmt/format.h>

namespace parlance::net {
namespace {

/// Tells the client how long to wait before it connects again.
Frame retry_frame(std::chrono::milliseconds retry) {
  return std::make_shared<const std::string>(fmt::format("retry: {}\n\n", retry.count()));
}

const Frame& keep_alive_frame() {
  static const Frame frame = std::make_shared<const std::string>(":\n\n");
  return frame;
}

}  // namespace

void open_events(Core& core, SseOpening opening) {
  auto made = std::make_unique<SseResponse>(core, opening);
  SseResponse& response = *made;
  if (core.adopt(std::move(made))) response.begin(opening);
}

SseResponse::SseResponse(Core& core, SseOpening& opening)
    : StreamSocket(core, std::move(opening.fd), std::move(opening.permit), Wire::sse) {}

void SseResponse::begin(SseOpening& opening) {
  push(std::make_shared<const std::string>(std::move(opening.head)));
  push(retry_frame(core().options().sse_retry));
  core().fanout().attach(*this, std::move(opening.session), opening.attach);
  core().schedule(*this, core().now() + core().ticks(core().options().sse_keep_alive));
  if (core().draining()) end(core().retry_after());
}

void SseResponse::on_readable() {
  discard_input();  // A client has nothing more to say; its end of file ends us.
}

void SseResponse::on_due() {
  if (close_is_due()) return;
  if (write_stalled()) return core().retire(*this);
  const Tick interval = core().ticks(core().options().sse_keep_alive);
  Tick next = last_progress() + interval;
  if (core().now() >= next) {
    next = core().now() + interval;
    if (queued_bytes() == 0) push(keep_alive_frame());
  }
  core().schedule(*this, next);
}

void SseResponse::end(std::chrono::seconds retry_after) {
  if (closing()) return;
  push(retry_frame(retry_after));
  begin_close();
}

void SseResponse::on_overflow() {
  // What was not begun is left out: the client's last id is of an event that it has seen.
  drop_unsent();
  begin_close();
}

void SseResponse::on_failed(const Error& /*error*/) {
  begin_close();
}

}  // namespace parlance::net
