#include "net/kiss_connection.h"

#include <utility>

#include <boost/asio/co_spawn.hpp>

#include "base/log.h"
#include "base/metrics.h"
#include "base/random.h"
#include "dialects/step_stream.h"
#include "net/await_reply.h"

namespace parlance::net {
namespace {

namespace asio = boost::asio;
namespace kiss = dialects::kiss;
using dialects::Problem;

/// A message of nobody's, and one that is parsed on the core.
constexpr std::size_t kSmallBytes = 64 << 10;

KissConnection* connection(const SocketRef& ref) {
  return static_cast<KissConnection*>(ref.get());
}

Problem unauthenticated(std::string_view why) {
  return dialects::to_problem({Errc::unauthenticated, std::string(why)});
}

// ---- Answering one request. The socket may be gone after every co_await. ----

/// One request of a socket, from its text to its answer.
class Answering {
 public:
  Answering(std::shared_ptr<Core> core, SocketRef socket, std::string text)
      : core_(std::move(core)), socket_(socket), text_(std::move(text)), held_(*core_) {
    if (text_.size() > kSmallBytes) held_.take(text_.size());
  }

  asio::awaitable<void> run();

 private:
  asio::awaitable<std::variant<kiss::ClientFrame, kiss::BadFrame>> parse();
  asio::awaitable<KissAnswer> perform(kiss::ClientFrame frame);
  asio::awaitable<KissAnswer> auth(std::string_view data);
  asio::awaitable<KissAnswer> store(SessionId client, kiss::ClientFrame frame);
  asio::awaitable<KissAnswer> query(SessionId client, kiss::EventName name, std::string_view data);
  asio::awaitable<KissAnswer> streamed(SessionId client, kiss::EventName name, std::string query);
  asio::awaitable<bool> send_missing(MessageId message, std::span<const RecordedEvent> events);

  const std::shared_ptr<Core> core_;
  const SocketRef socket_;
  std::string text_;
  DocumentMemory held_;
};

asio::awaitable<std::variant<kiss::ClientFrame, kiss::BadFrame>> Answering::parse() {
  if (text_.size() <= kSmallBytes) co_return kiss::parse_frame(text_);
  // The frame of this coroutine may go while the text is being read: it is lent, and comes back.
  auto lent = std::make_shared<std::string>(std::move(text_));
  using Parsed = std::variant<kiss::ClientFrame, kiss::BadFrame>;
  std::function<Parsed()> work = [lent] { return kiss::parse_frame(*lent); };
  std::optional<Parsed> parsed = co_await in_background<Parsed>(*core_, std::move(work));
  text_ = std::move(*lent);
  if (parsed) co_return std::move(*parsed);
  co_return kiss::BadFrame{
      {}, dialects::to_problem({Errc::unavailable, "too much is being read; try again later"})};
}

asio::awaitable<void> Answering::run() {
  const auto parsed = co_await parse();
  KissConnection* self = connection(socket_);
  if (self == nullptr) co_return;
  if (const auto* bad = std::get_if<kiss::BadFrame>(&parsed)) {
    co_return self->refuse(bad->event, bad->problem);
  }
  const auto frame = std::get<kiss::ClientFrame>(parsed);
  const KissAnswer answer = co_await perform(frame);
  self = connection(socket_);
  if (self == nullptr) co_return;
  if (const auto* problem = std::get_if<Problem>(&answer)) {
    self->refuse(frame.name.text(), *problem);
  } else {
    self->finish(kiss::answer_frame(frame.name, std::get<std::string>(answer)));
  }
}

asio::awaitable<KissAnswer> Answering::perform(kiss::ClientFrame frame) {
  const Bearer* const bearer = connection(socket_)->bearer();
  const kiss::Event event = frame.name.event;
  if (event != kiss::Event::auth) {
    if (bearer == nullptr) co_return unauthenticated("authorize first: send ON_AUTH");
    if (wall_now().ms >= bearer->expires.ms) {
      co_return unauthenticated("the access token has expired; send ON_AUTH or connect anew");
    }
  }
  const Options& options = core_->options();
  if (event == kiss::Event::store) co_return co_await store(bearer->client, frame);
  if (frame.data_bytes > options.body_bytes_max) {
    co_return dialects::to_problem(
        {Errc::too_large, "`data` of this event is over limits.body_bytes_max, " +
                              std::to_string(options.body_bytes_max) + " bytes"});
  }
  const std::string_view data =
      frame.data_bytes == 0 ? std::string_view("{}")
                            : std::string_view(text_).substr(frame.data_begin, frame.data_bytes);
  if (event == kiss::Event::auth) co_return co_await auth(data);
  const SessionId client = bearer->client;
  if (event == kiss::Event::query) co_return co_await query(client, frame.name, data);
  auto request = kiss::parse_session(data, client, options.message_bytes_max);
  if (auto* problem = std::get_if<Problem>(&request)) co_return std::move(*problem);
  const auto action = event == kiss::Event::init ? kiss::Action::init : kiss::Action::close;
  co_return co_await change_session(*core_, client, action,
                                    std::get<kiss::SessionRequest>(std::move(request)));
}

asio::awaitable<KissAnswer> Answering::auth(std::string_view data) {
  auto request = kiss::parse_auth(data);
  if (auto* problem = std::get_if<Problem>(&request)) co_return std::move(*problem);
  auto done = co_await authorize(*core_, std::get<kiss::AuthRequest>(std::move(request)));
  if (auto* problem = std::get_if<Problem>(&done)) co_return std::move(*problem);
  auto& authorized = std::get<AuthDone>(done);
  KissConnection* const self = connection(socket_);
  if (self != nullptr) self->set_bearer(std::move(authorized.bearer));
  co_return std::move(authorized.answer);
}

asio::awaitable<KissAnswer> Answering::store(SessionId client, kiss::ClientFrame frame) {
  if (frame.data_bytes == 0) {
    text_ = "{}";
    frame.data_begin = 0;
    frame.data_bytes = text_.size();
  }
  auto done = co_await store_documents(*core_, std::move(client), std::move(text_),
                                       frame.data_begin, frame.data_bytes, {});
  if (auto* problem = std::get_if<Problem>(&done)) co_return std::move(*problem);
  co_return std::move(std::get<StoreDone>(done).answer);
}

asio::awaitable<KissAnswer> Answering::query(SessionId client, kiss::EventName name,
                                             std::string_view data) {
  auto parsed = kiss::parse_query(data, core_->options().message_bytes_max);
  if (auto* problem = std::get_if<Problem>(&parsed)) co_return std::move(*problem);
  auto& request = std::get<kiss::QueryRequest>(parsed);
  if (request.stream) co_return co_await streamed(client, name, std::move(request.query));

  SubmitMessage command;
  command.message_id.text = random_hex(16);
  command.text = request.query;
  command.of_client = true;
  const auto accepted = co_await submit_query(*core_, client, std::move(command));
  if (!accepted) co_return dialects::to_problem(accepted.error());
  const Status ended = co_await await_end(*core_, client, accepted->message_id, nullptr);
  if (!ended) co_return dialects::to_problem(ended.error());
  co_return co_await read_answer(*core_, client, std::move(request.query), *accepted, {});
}

/// The same, with a relay on the session's core while the query runs. It watches before the query
/// is submitted, and all that it passed on is here before the log is read for the answer.
asio::awaitable<KissAnswer> Answering::streamed(SessionId client, kiss::EventName name,
                                                std::string query) {
  Core& home = *core_->shared().cores[core_->gateway().home_of(client)];
  const std::uint64_t relay = core_->draw_relay_name();
  const MessageId message{random_hex(16)};
  connection(socket_)->begin_stream(relay, name);
  std::function<void(Core&)> begin = [core = core_, socket = socket_, relay, client,
                                      message](Core& there) {
    auto made = std::make_unique<RunRelay>(*core, socket, relay, message,
                                           core->options().write_queue_bytes_max);
    there.add_relay(relay, std::move(made), client, {.tokens = true});
  };
  co_await at_core(*core_, home, std::move(begin));
  SubmitMessage command;
  command.message_id = message;
  command.text = query;
  command.of_client = true;
  const auto accepted = co_await submit_query(*core_, client, std::move(command));
  Status ended;
  if (accepted) ended = co_await await_end(*core_, client, message, nullptr);
  std::function<void(Core&)> end = [relay](Core& there) { there.remove_relay(relay); };
  co_await at_core(*core_, home, std::move(end));
  if (!accepted) co_return dialects::to_problem(accepted.error());
  if (!ended) co_return dialects::to_problem(ended.error());
  OnPage on_page = [this, message](std::span<const RecordedEvent> events) {
    return send_missing(message, events);
  };
  co_return co_await read_answer(*core_, client, std::move(query), *accepted, std::move(on_page));
}

asio::awaitable<bool> Answering::send_missing(MessageId message,
                                              std::span<const RecordedEvent> events) {
  auto start = [this](std::function<void(bool)> ready) {
    KissConnection* const self = connection(socket_);
    if (self == nullptr) return ready(false);
    self->when_room(std::move(ready));
  };
  co_await reply_of<bool>(std::move(start));
  KissConnection* const self = connection(socket_);
  if (self == nullptr) co_return false;
  self->send_missing_steps(message, events);
  co_return true;
}

asio::awaitable<void> run_answering(std::unique_ptr<Answering> answering) {
  co_await answering->run();
}

}  // namespace

struct KissConnection::Stream {
  std::uint64_t relay = 0;
  kiss::EventName name;
  EventSeq last_step = 0;    ///< That was sent.
  bool text_broken = false;  ///< A delta was left out.
  bool behind = false;       ///< A step was left out; the log has the rest.
};

struct KissConnection::Request {
  Request(Core& core, Opcode its_opcode, std::string its_text)
      : opcode(its_opcode), text(std::move(its_text)), held(core) {
    held.take(text.size());
  }
  Opcode opcode;
  std::string text;
  DocumentMemory held;
};

// Idle ones hold this and their bearer.
static_assert(sizeof(KissConnection) <= 384);

void open_kiss(Core& core, KissOpening opening) {
  auto made = std::make_unique<KissConnection>(core, opening);
  KissConnection& connection = *made;
  if (core.adopt(std::move(made))) connection.begin(opening);
}

KissConnection::KissConnection(Core& core, KissOpening& opening)
    : WebSocketPeer(core, std::move(opening.fd), std::move(opening.permit), false) {
  if (opening.bearer) bearer_ = std::make_unique<Bearer>(std::move(*opening.bearer));
}

KissConnection::~KissConnection() {
  partial_total() -= buffered();
  if (on_room_) on_room_(false);
}

void KissConnection::begin(KissOpening& opening) {
  push(std::make_shared<const std::string>(std::move(opening.answer)));
  if (!bearer_) {
    auth_deadline_ = core().now() + core().ticks_past(core().options().ws_auth_timeout);
    core().schedule(*this, auth_deadline_);
  }
  begin_reading(std::move(opening.read_ahead));
}

// ---- Reading ----

bool KissConnection::has_room() const {
  return queued_bytes() <= core().options().write_queue_bytes_max / 4;
}

bool KissConnection::may_go_on() const {
  return !closing() && waiting_.empty() && has_room();
}

std::size_t KissConnection::message_bytes_max() const {
  return bearer_ ? core().options().documents_bytes_max : kSmallBytes;
}

std::size_t& KissConnection::partial_total() {
  return bearer_ ? core().document_bytes : core().partial_bytes;
}

std::size_t KissConnection::partial_total_max() const {
  const Options& options = core().options();
  return bearer_ ? options.documents_bytes_total_max : options.partial_bytes_max;
}

bool KissConnection::on_client_message(Opcode opcode, std::string_view payload) {
  return take(opcode, std::string(payload));
}

bool KissConnection::on_long_client_message(Opcode opcode, std::string&& payload) {
  return take(opcode, std::move(payload));
}

bool KissConnection::take(Opcode opcode, std::string text) {
  if (opcode != Opcode::text) text = {};
  if (answering_ || !waiting_.empty()) {
    // Two at most: reading pauses after the first, but for a message that has begun to arrive.
    waiting_.push_back(std::make_unique<Request>(core(), opcode, std::move(text)));
    return false;
  }
  answer(opcode, std::move(text));
  return may_go_on();
}

void KissConnection::answer(Opcode opcode, std::string text) {
  answering_ = true;
  if (opcode != Opcode::text) {
    return refuse(
        {}, {.status = 400, .detail = "the frame is binary; a text frame with JSON is expected"});
  }
  const SocketRef socket = core().ref(*this);
  const std::shared_ptr<Core> kept = core().shared_from_this();
  asio::co_spawn(core().io(),
                 run_answering(std::make_unique<Answering>(kept, socket, std::move(text))),
                 [kept, socket](const std::exception_ptr& thrown) {
                   KissConnection* const self = connection(socket);
                   if (thrown && self != nullptr) self->give_up();
                 });
}

// ---- Answers ----

void KissConnection::set_bearer(Bearer bearer) {
  partial_total() -= buffered();
  bearer_ = std::make_unique<Bearer>(std::move(bearer));
  partial_total() += buffered();
}

void KissConnection::send_text(std::string_view json) {
  push(encode_for(wire(), json, {}, core().options()));
}

void KissConnection::finish(std::string_view json) {
  if (!closing()) {
    ++core().counts.frames_sent;
    send_text(json);
  }
  stream_.reset();
  answering_ = false;
  core().flush_later(*this);  // Takes the next request when that has been written.
}

void KissConnection::refuse(std::optional<std::string_view> event, const Problem& problem) {
  if (problem.status < 500) metrics::get().input_refused.add();
  finish(kiss::error_frame(event, problem));
  if (problem.status == 401) close(CloseCode::unauthorized, "unauthorized");
}

void KissConnection::give_up() {
  log::warn("a request of a socket failed");
  core().retire(*this);
}

void KissConnection::on_room() {
  if (on_room_ && has_room()) std::exchange(on_room_, nullptr)(true);
  if (!waiting_.empty() && !answering_ && !closing() && has_room()) {
    const std::unique_ptr<Request> next = std::move(waiting_.front());
    waiting_.erase(waiting_.begin());
    answer(next->opcode, std::move(next->text));
  }
  go_on();
}

void KissConnection::when_room(std::function<void(bool)> ready) {
  if (closing() || has_room()) return ready(true);
  on_room_ = std::move(ready);
}

// ---- Steps of the query that is being answered ----

void KissConnection::begin_stream(std::uint64_t relay, kiss::EventName name) {
  stream_ = std::make_unique<Stream>();
  stream_->relay = relay;
  stream_->name = name;
}

void KissConnection::on_relayed(std::uint64_t relay, const Relayed& relayed) {
  if (closing() || !stream_ || stream_->relay != relay || stream_->behind) return;
  const bool fits = queued_bytes() == 0 ||
                    queued_bytes() + relayed.json->size() <= core().options().write_queue_bytes_max;
  if (relayed.telling == Telling::step) {
    stream_->behind = !fits;
    stream_->text_broken = false;
    if (fits) stream_->last_step = relayed.seq;
  } else if (relayed.telling == Telling::reset) {
    stream_->text_broken = false;
  } else if (!fits) {
    stream_->text_broken = true;
  }
  if (stream_->behind || stream_->text_broken) return;
  ++core().counts.frames_sent;
  send_text(kiss::step_frame(stream_->name, *relayed.json));
}

void KissConnection::send_missing_steps(const MessageId& message,
                                        std::span<const RecordedEvent> events) {
  if (closing() || !stream_ || bearer_ == nullptr) return;
  for (const RecordedEvent& event : events) {
    if (event.cursor.seq <= stream_->last_step || message_of(event.event) != message ||
        !std::holds_alternative<StepRecorded>(event.event)) {
      continue;
    }
    std::string& json = core().scratch();
    json.clear();
    dialects::step_stream::append_recorded(json, bearer_->client.text, event);
    ++core().counts.frames_sent;
    send_text(kiss::step_frame(stream_->name, json));
    stream_->last_step = event.cursor.seq;
  }
}

// ---- Time, and the end ----

void KissConnection::on_due() {
  if (!closing() && !bearer_) {
    if (core().now() >= auth_deadline_ && !answering_) {
      metrics::get().input_refused.add();
      close(CloseCode::unauthorized, "no ON_AUTH in time");
    } else {
      core().schedule(*this, auth_deadline_);
    }
  }
  WebSocketPeer::on_due();
}

void KissConnection::on_overflow() {
  drop_unsent();
  close(CloseCode::try_again_later, "too slow");
}

void KissConnection::on_failed(const Error& /*error*/) {
  close(CloseCode::internal_error, "the log cannot be read");
}

}  // namespace parlance::net
