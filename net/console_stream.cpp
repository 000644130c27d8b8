#include "net/console_stream.h"

#include <fmt/format.h>

#include "net/console_feed.h"

namespace parlance::net {
namespace {

Frame retry_frame(std::chrono::milliseconds retry) {
  return std::make_shared<const std::string>(fmt::format("retry: {}\n\n", retry.count()));
}

}  // namespace

void open_console(Core& core, ConsoleOpening opening) {
  auto made = std::make_unique<ConsoleStream>(core, opening);
  ConsoleStream& stream = *made;
  if (core.adopt(std::move(made))) stream.begin(opening);
}

Frame state_frame(std::string_view json) {
  return std::make_shared<const std::string>(fmt::format("event: state\ndata: {}\n\n", json));
}

ConsoleStream::ConsoleStream(Core& core, ConsoleOpening& opening)
    : StreamSocket(core, std::move(opening.fd), std::move(opening.permit), Wire::sse),
      place_(std::move(opening.place)) {
  core.enter(*this);
}

ConsoleStream::~ConsoleStream() {
  core().leave(*this);
}

void ConsoleStream::begin(ConsoleOpening& opening) {
  push(std::make_shared<const std::string>(std::move(opening.head)));
  push(retry_frame(core().options().sse_retry));
  core().schedule(*this, core().now() + core().ticks(core().options().sse_keep_alive));
  const std::shared_ptr<Core> kept = core().shared_from_this();
  core().shared().console->read_state(
      core(), [kept, ref = core().ref(*this)](const ConsoleFeed::Json& state) {
        if (auto* const self = static_cast<ConsoleStream*>(ref.get())) {
          self->tell(state_frame(*state));
        }
      });
  if (core().draining()) end(core().retry_after());
}

void ConsoleStream::tell(const Frame& state) {
  if (closing() || queued_bytes() > 0) return;
  ++core().counts.frames_sent;
  push(state);
}

void ConsoleStream::on_readable() {
  discard_input();  // A client has nothing more to say; its end of file ends us.
}

void ConsoleStream::on_due() {
  if (close_is_due()) return;
  if (write_stalled()) return core().retire(*this);
  core().schedule(*this, core().now() + core().ticks(core().options().sse_keep_alive));
}

void ConsoleStream::end(std::chrono::seconds retry_after) {
  if (closing()) return;
  push(retry_frame(retry_after));
  begin_close();
}

void ConsoleStream::on_overflow() {
  begin_close();
}

void ConsoleStream::on_failed(const Error& /*error*/) {
  begin_close();
}

}  // namespace parlance::net
