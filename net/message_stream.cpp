#include "net/message_stream.h"

#include <iterator>

#include <boost/asio/co_spawn.hpp>
#include <fmt/format.h>

#include "base/log.h"
#include "dialects/raw_member.h"
#include "dialects/step_stream.h"
#include "net/await_reply.h"

namespace parlance::net {
namespace {

namespace asio = boost::asio;
namespace platform = dialects::platform;
using dialects::Problem;

MessageStream* stream(const SocketRef& ref) {
  return static_cast<MessageStream*>(ref.get());
}

// ---- Answering one message. The socket may be gone after every co_await. ----

class Answering {
 public:
  Answering(std::shared_ptr<Core> core, SocketRef socket, PreparedMessage message)
      : core_(std::move(core)), socket_(socket), prepared_(std::move(message)) {}

  asio::awaitable<void> run();

 private:
  asio::awaitable<Status> watch_run();
  asio::awaitable<bool> send_missing(std::span<const RecordedEvent> events);

  const std::shared_ptr<Core> core_;
  const SocketRef socket_;
  PreparedMessage prepared_;
  SubmittedMessage message_;
};

asio::awaitable<void> Answering::run() {
  auto submitted = co_await submit_message(*core_, std::move(prepared_));
  if (const auto* problem = std::get_if<Problem>(&submitted)) {
    if (MessageStream* const self = stream(socket_)) self->refuse(*problem);
    co_return;
  }
  message_ = std::get<SubmittedMessage>(std::move(submitted));
  if (stream(socket_) == nullptr) co_return;
  const Status ended = co_await watch_run();
  if (stream(socket_) == nullptr) co_return;
  OnPage on_page = [this](std::span<const RecordedEvent> events) { return send_missing(events); };
  const Answer answer = co_await read_message_answer(*core_, message_, ended, std::move(on_page));
  if (MessageStream* const self = stream(socket_)) self->finish(message_, answer);
}

/// With a relay on the session's core while the run lasts. It watches from the message on, so
/// nothing is missed that came meanwhile; all that it passed on is here before the log is read.
asio::awaitable<Status> Answering::watch_run() {
  const std::uint64_t relay = core_->draw_relay_name();
  stream(socket_)->begin(message_, relay);
  Core& home = *core_->shared().cores[core_->gateway().home_of(message_.session)];
  std::function<void(Core&)> begin = [core = core_, socket = socket_, relay,
                                      message = message_](Core& there) {
    auto made = std::make_unique<RunRelay>(*core, socket, relay, message.run,
                                           core->options().write_queue_bytes_max);
    there.add_relay(relay, std::move(made), message.session,
                    {.tokens = true, .after = message.accepted});
  };
  co_await at_core(*core_, home, std::move(begin));
  const Status ended = co_await await_end(*core_, message_.session, message_.run, nullptr);
  std::function<void(Core&)> end = [relay](Core& there) { there.remove_relay(relay); };
  co_await at_core(*core_, home, std::move(end));
  co_return ended;
}

asio::awaitable<bool> Answering::send_missing(std::span<const RecordedEvent> events) {
  auto start = [this](std::function<void(bool)> ready) {
    MessageStream* const self = stream(socket_);
    if (self == nullptr) return ready(false);
    self->when_room(std::move(ready));
  };
  co_await reply_of<bool>(std::move(start));
  MessageStream* const self = stream(socket_);
  if (self == nullptr) co_return false;
  self->send_missing_steps(message_, events);
  co_return true;
}

asio::awaitable<void> run_answering(std::unique_ptr<Answering> answering) {
  co_await answering->run();
}

}  // namespace

void open_message_stream(Core& core, MessageStreamOpening opening) {
  auto made = std::make_unique<MessageStream>(core, opening);
  MessageStream& opened = *made;
  if (!core.adopt(std::move(made))) return;
  core.schedule(opened, core.now() + core.ticks(core.options().sse_keep_alive));
  const SocketRef socket = core.ref(opened);
  const std::shared_ptr<Core> kept = core.shared_from_this();
  asio::co_spawn(
      core.io(),
      run_answering(std::make_unique<Answering>(kept, socket, std::move(opening.message))),
      [kept, socket](const std::exception_ptr& thrown) {
        MessageStream* const self = stream(socket);
        if (thrown && self != nullptr) self->give_up();
      });
}

MessageStream::MessageStream(Core& core, MessageStreamOpening& opening)
    : StreamSocket(core, std::move(opening.fd), std::move(opening.permit), Wire::sse),
      request_id_(std::move(opening.request_id)),
      headers_(std::move(opening.headers)) {}

MessageStream::~MessageStream() {
  if (on_room_) on_room_(false);
}

// ---- Sending ----

bool MessageStream::has_room() const {
  return queued_bytes() <= core().options().write_queue_bytes_max / 4;
}

void MessageStream::send_event(std::string_view name, std::string_view data) {
  ++core().counts.frames_sent;
  push(std::make_shared<const std::string>(fmt::format("event: {}\ndata: {}\n\n", name, data)));
}

/// `json` is a frame of the step stream whose `member` is the text.
void MessageStream::send_delta(std::string_view json, std::string_view member) {
  const auto text = dialects::find_raw_member(json, member);
  if (!text) return;
  send_event("delta", fmt::format(R"({{"text":{}}})", json.substr(text->begin, text->bytes)));
  text_shown_ = true;
}

void MessageStream::refuse(const Problem& problem) {
  if (closing()) return;
  HttpResponse response = to_response(problem, request_id_);
  std::move(headers_.begin(), headers_.end(), std::back_inserter(response.headers));
  push(
      std::make_shared<const std::string>(to_wire(std::move(response), request_id_, false, false)));
  begin_close();
}

void MessageStream::begin(const SubmittedMessage& message, std::uint64_t relay) {
  relay_ = relay;
  if (closing()) return;
  std::string head = wire_head(200, request_id_);
  head +=
      "Content-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache, no-transform\r\n"
      "X-Accel-Buffering: no\r\nConnection: close\r\n";
  if (message.replayed) head += "Idempotent-Replayed: true\r\n";
  for (const auto& [name, value] : headers_) {
    fmt::format_to(std::back_inserter(head), "{}: {}\r\n", name, value);
  }
  push(std::make_shared<const std::string>(head + "\r\n"));
  send_event("message", platform::message_json(message.session, message.user));
}

void MessageStream::on_relayed(std::uint64_t relay, const Relayed& relayed) {
  if (closing() || relay_ != relay || behind_) return;
  const std::string_view json = *relayed.json;
  const bool fits =
      queued_bytes() == 0 || queued_bytes() + json.size() <= core().options().write_queue_bytes_max;
  switch (relayed.telling) {
    case Telling::step:
      text_shown_ = text_broken_ = false;
      behind_ = !fits;
      if (behind_) return;
      last_step_ = relayed.seq;
      return send_event("step", json);
    case Telling::reset:
      text_shown_ = text_broken_ = false;
      return send_event("reset", "{}");
    case Telling::snapshot:
      if (text_shown_) send_event("reset", "{}");
      text_broken_ = !fits;
      if (fits) send_delta(json, "text");
      return;
    case Telling::delta:
      text_broken_ = text_broken_ || !fits;
      if (!text_broken_) send_delta(json, "delta");
      return;
    case Telling::other:
      return;
  }
}

void MessageStream::send_missing_steps(const SubmittedMessage& message,
                                       std::span<const RecordedEvent> events) {
  if (closing()) return;
  for (const RecordedEvent& event : events) {
    if (event.cursor.seq <= last_step_ || message_of(event.event) != message.run ||
        !std::holds_alternative<StepRecorded>(event.event)) {
      continue;
    }
    std::string& json = core().scratch();
    json.clear();
    dialects::step_stream::append_recorded(json, message.session.text, event);
    send_event("step", json);
    last_step_ = event.cursor.seq;
  }
}

void MessageStream::finish(const SubmittedMessage& message, const Answer& answer) {
  if (closing()) return;
  if (const auto* problem = std::get_if<Problem>(&answer)) {
    send_event("error", to_json(*problem, request_id_));
  } else {
    send_event("message",
               platform::message_json(message.session, std::get<platform::Message>(answer)));
    send_event("done", "{}");
  }
  begin_close();
}

void MessageStream::when_room(std::function<void(bool)> ready) {
  if (closing() || has_room()) return ready(true);
  on_room_ = std::move(ready);
}

void MessageStream::on_room() {
  if (on_room_ && has_room()) std::exchange(on_room_, nullptr)(true);
}

// ---- Time, and the end ----

void MessageStream::on_readable() {
  discard_input();  // A client has nothing more to say; its end of file ends us.
}

void MessageStream::on_due() {
  if (close_is_due()) return;
  if (write_stalled()) return core().retire(*this);
  const Tick interval = core().ticks(core().options().sse_keep_alive);
  Tick next = last_progress() + interval;
  if (core().now() >= next) {
    next = core().now() + interval;
    if (relay_ != 0 && queued_bytes() == 0) push(std::make_shared<const std::string>(":\n\n"));
  }
  core().schedule(*this, next);
}

void MessageStream::end(std::chrono::seconds retry_after) {
  if (closing()) return;
  Problem problem{.status = 503,
                  .detail = "the server is stopping; the message is answered after its restart"};
  problem.retry_after = retry_after;
  if (relay_ == 0) {
    problem.detail = "the server is stopping";
    return refuse(problem);
  }
  send_event("error", to_json(problem, request_id_));
  begin_close();
}

void MessageStream::give_up() {
  log::warn("a streamed message failed");
  core().retire(*this);
}

void MessageStream::on_overflow() {
  begin_close();
}

void MessageStream::on_failed(const Error& /*error*/) {
  begin_close();
}

}  // namespace parlance::net
