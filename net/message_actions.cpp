#include "net/message_actions.h"

#include <utility>

#include "actors/platform_gateway.h"
#include "base/uuid.h"
#include "dialects/platform.h"
#include "net/await_reply.h"
#include "net/http_endpoints.h"

namespace parlance::net {
namespace {

namespace asio = boost::asio;
namespace platform = dialects::platform;
using dialects::Problem;

/// Of the log, read in one go.
constexpr std::size_t kPageEvents = 256;
constexpr std::size_t kPageBytes = 128 << 10;

asio::awaitable<Result<EventPage>> read_log(Core& core, const SessionId& session, EventSeq after,
                                            std::size_t events_max) {
  const ReadEvents range{
      .after = after, .before = {}, .events_max = events_max, .bytes_max = kPageBytes};
  auto start = [&core, &session, range](actors::SessionGateway::PageReply reply) {
    core.gateway().read(session, range, std::move(reply));
  };
  co_return co_await reply_of<Result<EventPage>>(std::move(start));
}

}  // namespace

asio::awaitable<Status> find_session(Core& core, const SessionId& session) {
  using Reply = Result<PlatformSession>;
  auto start = [&core, &session](actors::PlatformGateway::Reply<PlatformSession> reply) {
    core.gateway().platform().read_session(session, std::move(reply));
  };
  const Reply found = co_await reply_of<Reply>(std::move(start));
  if (!found) co_return found.error();
  co_return Status();
}

namespace {

asio::awaitable<std::variant<PreparedMessage, Problem>> prepare_text(Core& core,
                                                                     const HttpRequest& request) {
  auto parsed = platform::parse_text_message(request.body, core.options().message_bytes_max);
  if (auto* problem = std::get_if<Problem>(&parsed)) co_return std::move(*problem);
  auto& message = std::get<platform::TextMessage>(parsed);
  const Status found = co_await find_session(core, message.session);
  if (!found) co_return dialects::to_problem(found.error());
  PreparedMessage prepared{.session = std::move(message.session), .command = {}, .user = {}};
  prepared.command.message_id.text = uuid7();
  prepared.command.text = std::move(message.text);
  prepared.command.idempotency_key = request.idempotency_key;
  prepared.command.drawn_id = true;
  co_return prepared;
}

asio::awaitable<std::variant<PreparedMessage, Problem>> prepare_retry(Core& core,
                                                                      const HttpRequest& request) {
  auto parsed = platform::parse_retry(request.body);
  if (auto* problem = std::get_if<Problem>(&parsed)) co_return std::move(*problem);
  const SessionId session = std::get<SessionId>(std::move(parsed));
  const Status found = co_await find_session(core, session);
  if (!found) co_return dialects::to_problem(found.error());
  platform::RetryReader reader(session, request.route.name, request.idempotency_key);
  for (EventSeq after = 0;;) {
    const Result<EventPage> page = co_await read_log(core, session, after, kPageEvents);
    if (!page) co_return dialects::to_problem(page.error());
    if (page->events.empty()) break;
    for (const RecordedEvent& event : page->events) reader.add(event);
    after = page->events.back().cursor.seq;
  }
  auto result = reader.result();
  if (auto* problem = std::get_if<Problem>(&result)) co_return std::move(*problem);
  auto& retry = std::get<platform::Retry>(result);
  co_return PreparedMessage{session, std::move(retry.command), std::move(retry.user)};
}

}  // namespace

bool streams_message(const HttpRequest& request) {
  return request.wants_events && (request.route.endpoint == Endpoint::message_text ||
                                  request.route.endpoint == Endpoint::message_retry);
}

asio::awaitable<std::variant<PreparedMessage, Problem>> prepare_message(
    Core& core, const HttpRequest& request) {
  if (!request.idempotency_key.empty() && !valid_idempotency_key(request.idempotency_key)) {
    co_return bad_idempotency_key();
  }
  if (request.route.endpoint == Endpoint::message_retry) {
    co_return co_await prepare_retry(core, request);
  }
  co_return co_await prepare_text(core, request);
}

asio::awaitable<std::variant<SubmittedMessage, Problem>> submit_message(Core& core,
                                                                        PreparedMessage prepared) {
  SubmittedMessage submitted{.session = std::move(prepared.session),
                             .run = {},
                             .accepted = {},
                             .user = std::move(prepared.user)};
  const MessageId retry_of = prepared.command.retry_of;
  const auto accepted = co_await submit_query(core, submitted.session, std::move(prepared.command));
  if (!accepted) co_return dialects::to_problem(accepted.error());
  submitted.accepted = accepted->cursor;
  submitted.replayed = accepted->duplicate;

  // The id of a repeat is that of the first time, which the log knows.
  const Result<EventPage> page =
      co_await read_log(core, submitted.session, accepted->cursor.seq - 1, 1);
  if (!page) co_return dialects::to_problem(page.error());
  if (page->events.empty()) co_return platform::session_was_deleted();
  const RecordedEvent& event = page->events.front();
  const auto* first = std::get_if<MessageAccepted>(&event.event);
  if (first == nullptr) {
    co_return dialects::to_problem({Errc::corrupted, "the log has no message at its place"});
  }
  if (first->retry_of != retry_of) {
    co_return dialects::to_problem(
        {Errc::already_exists, "this Idempotency-Key was used with another request"});
  }
  submitted.run = first->message_id;
  if (retry_of.text.empty()) {
    submitted.user = platform::user_message(submitted.session, event);
  } else {
    submitted.user.updated_at = event.time;
  }
  co_return submitted;
}

namespace {

asio::awaitable<Answer> read_run(Core& core, SubmittedMessage& message, OnPage on_page) {
  platform::RunReader run(message.session, message.run, message.user.id);
  EventSeq after = message.accepted.seq - 1;
  while (!run.ended()) {
    const Result<EventPage> page = co_await read_log(core, message.session, after, kPageEvents);
    if (!page) co_return dialects::to_problem(page.error());
    if (page->events.empty()) break;
    for (const RecordedEvent& event : page->events) run.add(event);
    after = page->events.back().cursor.seq;
    if (on_page && !co_await on_page(page->events)) break;
  }
  run.complete(message.user);
  co_return run.answer();
}

}  // namespace

asio::awaitable<Answer> read_message_answer(Core& core, SubmittedMessage& message, Status ended,
                                            OnPage on_page) {
  Answer answer;
  if (ended) {
    answer = co_await read_run(core, message, std::move(on_page));
  } else {
    answer = dialects::to_problem(ended.error());
  }
  auto* const problem = std::get_if<Problem>(&answer);
  if (problem == nullptr) co_return answer;
  // A session that is being deleted cancels its runs first.
  const Status found = co_await find_session(core, message.session);
  if (!found && found.error().code == Errc::not_found) co_return platform::session_was_deleted();
  problem->message_id = message.user.id;
  co_return answer;
}

}  // namespace parlance::net
