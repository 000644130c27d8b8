#include "net/http_endpoints.h"

#include <algorithm>
#include <charconv>
#include <memory>
#include <span>

#include <fmt/format.h>

#include "base/metrics.h"
#include "base/random.h"
#include "dialects/step_stream.h"
#include "net/api_docs_endpoints.h"
#include "net/await_reply.h"
#include "net/console_endpoints.h"
#include "net/history_memory.h"
#include "net/kiss_actions.h"
#include "net/kiss_endpoints.h"
#include "net/platform_endpoints.h"
#include "net/voice_endpoints.h"
#include "net/web_pages.h"

namespace parlance::net {
namespace {

namespace asio = boost::asio;
namespace step_stream = dialects::step_stream;
using dialects::Problem;

step_stream::Limits limits_of(const Options& options) {
  return {.message_bytes_max = options.message_bytes_max, .ping_bytes_max = options.ping_bytes_max};
}

/// What GET / tells those that are no browsers.
HttpResponse about() {
  return {.content_type = "text/plain; charset=utf-8",
          .body =
              "Parlance: a chat backend. Each chat is a durable log that any client can resume.\n"
              "\n"
              "Talk to it:\n"
              "  WebSocket  /chat/{chat_id}            send "
              "{\"type\":\"client\",\"message\":\"hello\",\"message_id\":\"m1\"}\n"
              "  GET        /chat/{chat_id}/events     the same as server-sent events\n"
              "  POST       /chat/{chat_id}/messages   {\"message\":\"hello\"}\n"
              "  POST       /chat/{chat_id}/cancel     stop the answer in progress\n"
              "  DELETE     /chat/{chat_id}            erase the chat\n"
              "  GET        /history/{chat_id}         the conversation so far\n"
              "  POST       /agent/run                 {\"task\":\"...\"}: one answer, nothing "
              "stored\n"
              "  POST       /auth /sessions /queries /documents, WebSocket /ws: the KISS stack\n"
              "  /api/v1/agent, /api/v1/session, /api/v1/message: the agent platform; see "
              "/api/v1/docs\n"
              "  GET        /healthz /readyz /metrics\n"
              "  in a browser: the chat at /, the operator's console at /console\n"
              "\n"
              "Options of the stream: ?after=<cursor> resumes, ?tokens=1 adds deltas, ?acks=1 "
              "adds the users' messages.\n",
          .headers = {{"Vary", "Accept"}}};
}

// ---- History ----

/// Read in one go: how long making its JSON may keep a core from its other clients.
constexpr std::size_t kHistoryPageBytes = 128 << 10;

struct HistoryRange {
  std::size_t entries_max = 0;
  bool limited = false;  ///< The client asked for a number of entries.
  std::optional<EventSeq> before = {};
};

template <class Number>
bool parse_number(std::string_view text, Number& out) {
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), out);
  return parsed.ec == std::errc{} && parsed.ptr == text.data() + text.size();
}

std::variant<HistoryRange, Problem> history_range(const RequestTarget& target,
                                                  const Options& options) {
  HistoryRange range{.entries_max = options.history_events_max};
  if (const auto limit = target.parameter("limit")) {
    if (!parse_number(*limit, range.entries_max) || range.entries_max == 0) {
      return Problem{.status = 400, .detail = "`limit` must be a number of at least 1"};
    }
    range.entries_max = std::min(range.entries_max, options.history_events_max);
    range.limited = true;
  }
  if (const auto before = target.parameter("before")) {
    EventSeq seq = 0;
    if (!parse_number(*before, seq)) {
      return Problem{.status = 400, .detail = "`before` must be the seq of an entry"};
    }
    range.before = seq;
  }
  return range;
}

/// The newest entries of the log that fit, read backwards page by page. Each entry once; the array
/// is in the order of the log. A Link header leads to older ones where there are some.
asio::awaitable<HttpResponse> history(Core& core, const HttpRequest& request) {
  const Options& options = core.options();
  const auto parsed = history_range(request.target, options);
  if (const auto* problem = std::get_if<Problem>(&parsed)) {
    co_return to_response(*problem, request.id);
  }
  const HistoryRange range = std::get<HistoryRange>(parsed);
  const SessionId session{request.route.name};

  const auto held = std::make_shared<HistoryMemory>(core);
  std::vector<std::string> pages;  // Newest first.
  std::optional<EventSeq> before = range.before;
  std::size_t entries = 0;
  std::size_t bytes = 0;
  bool more = !(before && *before <= 1);
  while (more && entries < range.entries_max && bytes < options.history_bytes_max) {
    if (const auto refusal = too_much_is_read(core, "histories")) {
      co_return to_response(*refusal, request.id);
    }
    ReadEvents read{.before = before, .from_end = !before, .bytes_max = kHistoryPageBytes};
    // Every second event of a chat or so is no entry, so some more than wanted are read.
    read.events_max = std::min<std::size_t>(1024, 2 * (range.entries_max - entries) + 2);
    auto start = [&core, &session, read](actors::SessionGateway::PageReply reply) {
      core.gateway().read(session, read, std::move(reply));
    };
    Result<EventPage> page = co_await reply_of<Result<EventPage>>(std::move(start));
    if (!page) co_return to_response(dialects::to_problem(page.error()), request.id);
    std::vector<RecordedEvent>& events = page->events;
    if (events.empty()) break;
    before = events.front().cursor.seq;
    more = *before > 1;

    std::erase_if(events, [](const auto& event) { return !step_stream::in_history(event.event); });
    const std::size_t wanted = std::min(events.size(), range.entries_max - entries);
    const auto newest = std::span(events).last(wanted);
    if (wanted < events.size()) {
      before = newest.front().cursor.seq;
      more = true;
    }
    pages.emplace_back();
    entries += step_stream::append_history(pages.back(), newest);
    bytes += pages.back().size();
    held->add(pages.back().size());
  }

  HttpResponse response{.body = "[", .until_written = held};
  response.body.reserve(bytes + pages.size() + 2 + kHeadBytes);
  for (; !pages.empty(); pages.pop_back()) {
    if (pages.back().empty()) continue;
    if (response.body.size() > 1) response.body += ',';
    response.body += pages.back();
  }
  response.body += ']';
  if (more && before) {
    std::string link = fmt::format("</history/{}?before={}", session.text, *before);
    if (range.limited) link += fmt::format("&limit={}", range.entries_max);
    response.headers.emplace_back("Link", link + ">; rel=\"prev\"");
  }
  co_return response;
}

// ---- Messages ----

asio::awaitable<HttpResponse> submit(Core& core, const HttpRequest& request) {
  auto parsed = step_stream::parse_submit_body(request.body, limits_of(core.options()));
  if (const auto* problem = std::get_if<Problem>(&parsed)) {
    co_return to_response(*problem, request.id);
  }
  SubmitMessage command = std::get<SubmitMessage>(std::move(parsed));
  command.idempotency_key = request.idempotency_key;
  if (!command.idempotency_key.empty() && !valid_idempotency_key(command.idempotency_key)) {
    co_return to_response(bad_idempotency_key(), request.id);
  }
  if (command.message_id.text.empty()) {
    command.message_id.text =
        command.idempotency_key.empty() ? random_hex(16) : "idem-" + command.idempotency_key;
  }
  const bool keyed = !command.idempotency_key.empty();
  const SessionId session{request.route.name};
  auto start = [&core, &session, &command](actors::SessionGateway::SubmitReply reply) {
    core.gateway().submit(session, std::move(command), std::move(reply));
  };
  const Result<SubmitAccepted> accepted =
      co_await reply_of<Result<SubmitAccepted>>(std::move(start));
  if (!accepted) co_return to_response(dialects::to_problem(accepted.error()), request.id);

  // The same key and the same body get the first answer again; a header tells that it is a replay.
  HttpResponse response{.status = 202};
  response.body = step_stream::accepted_body(
      session.text, *accepted, accepted->duplicate && !keyed ? "duplicate" : "accepted");
  if (accepted->duplicate && keyed) response.headers.emplace_back("Idempotent-Replayed", "true");
  co_return response;
}

asio::awaitable<HttpResponse> delete_chat(Core& core, const HttpRequest& request) {
  const SessionId session{request.route.name};
  const Status deleted = co_await change_lifecycle(core, session, LifecycleCommand::remove_chat);
  if (!deleted) co_return to_response(dialects::to_problem(deleted.error()), request.id);
  co_return no_content();
}

asio::awaitable<HttpResponse> agent_run(Core& core, const HttpRequest& request,
                                        std::function<void()>& on_leave) {
  auto parsed = step_stream::parse_run_body(request.body, limits_of(core.options()));
  if (const auto* problem = std::get_if<Problem>(&parsed)) {
    co_return to_response(*problem, request.id);
  }
  std::string& task = std::get<std::string>(parsed);
  auto start = [&core, &task, &on_leave](actors::SessionGateway::RunOnceReply reply) {
    const std::uint64_t run = core.gateway().run_once(std::move(task), std::move(reply));
    on_leave = [&core, run] { core.gateway().cancel_run_once(run); };
  };
  using Steps = Result<std::vector<actors::RunOnceStep>>;
  const Steps steps = co_await reply_of<Steps>(std::move(start));
  if (!steps) co_return to_response(dialects::to_problem(steps.error()), request.id);

  HttpResponse response{.body = "["};
  for (const actors::RunOnceStep& step : *steps) {
    if (response.body.size() > 1) response.body += ',';
    step_stream::append_run_step(response.body, step.type, step.text);
  }
  response.body += ']';
  co_return response;
}

}  // namespace

asio::awaitable<HttpResponse> cancel_run(Core& core, const HttpRequest& request) {
  auto parsed = step_stream::parse_cancel_body(request.body);
  if (const auto* problem = std::get_if<Problem>(&parsed)) {
    co_return to_response(*problem, request.id);
  }
  const SessionId session{request.route.name};
  CancelMessage& command = std::get<CancelMessage>(parsed);
  auto start = [&core, &session, &command](actors::SessionGateway::StatusReply reply) {
    core.gateway().cancel(session, std::move(command), std::move(reply));
  };
  const Status status = co_await reply_of<Status>(std::move(start));
  if (!status) co_return to_response(dialects::to_problem(status.error()), request.id);
  co_return HttpResponse{.body = R"({"status":"cancelled"})"};
}

bool valid_idempotency_key(std::string_view key) {
  return !key.empty() && key.size() <= kMessageIdBytesMax - 5 &&
         std::all_of(key.begin(), key.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

Problem bad_idempotency_key() {
  return {.status = 400, .detail = "Idempotency-Key must be 1 to 123 visible ASCII characters"};
}

std::optional<Problem> why_not_ready(Core& core) {
  const bool stopping = core.draining() || core.gateway().stopping();
  if (!stopping && core.gateway().ready()) return std::nullopt;
  Problem problem{.status = 503,
                  .detail = stopping ? "the server is stopping" : "the server is not ready"};
  problem.retry_after = std::max(core.retry_after(), std::chrono::seconds(1));
  return problem;
}

asio::awaitable<HttpResponse> answer(Core& core, HttpRequest& request,
                                     std::function<void()>& on_leave) {
  switch (request.route.endpoint) {
    case Endpoint::about:
      co_return about();
    case Endpoint::chat_page:
    case Endpoint::console_page:
    case Endpoint::asset:
      co_return web_page(request);
    case Endpoint::health:
      co_return HttpResponse{
          .body = fmt::format(R"({{"status":"ok","version":"{}","environment":"{}"}})",
                              core.options().version, core.options().environment)};
    case Endpoint::readiness:
      if (const std::optional<Problem> problem = why_not_ready(core)) {
        co_return to_response(*problem, request.id);
      }
      co_return HttpResponse{.body = R"({"status":"ready"})"};
    case Endpoint::metrics:
      co_return HttpResponse{.content_type = "text/plain; version=0.0.4; charset=utf-8",
                             .body = metrics::to_text()};
    case Endpoint::history:
      co_return co_await history(core, request);
    case Endpoint::chat_messages:
      co_return co_await submit(core, request);
    case Endpoint::chat_cancel:
      co_return co_await cancel_run(core, request);
    case Endpoint::chat_delete:
      co_return co_await delete_chat(core, request);
    case Endpoint::agent_run:
      co_return co_await agent_run(core, request, on_leave);
    case Endpoint::kiss_auth:
    case Endpoint::kiss_sessions:
    case Endpoint::kiss_delete:
    case Endpoint::kiss_queries:
    case Endpoint::kiss_documents:
    case Endpoint::kiss_passage:
      co_return co_await answer_kiss(core, request, on_leave);
    case Endpoint::console_state:
    case Endpoint::console_history:
    case Endpoint::console_log:
    case Endpoint::console_stop:
      co_return co_await answer_console(core, request);
    case Endpoint::openapi:
    case Endpoint::asyncapi:
    case Endpoint::docs:
    case Endpoint::redoc:
    case Endpoint::docs_file:
      co_return api_document(request);
    case Endpoint::agent_create:
    case Endpoint::agent_list:
    case Endpoint::agent_read:
    case Endpoint::agent_update:
    case Endpoint::agent_delete:
    case Endpoint::session_create:
    case Endpoint::session_list:
    case Endpoint::session_read:
    case Endpoint::session_update:
    case Endpoint::session_delete:
    case Endpoint::message_text:
    case Endpoint::message_retry:
    case Endpoint::conversation:
      co_return co_await answer_platform(core, request, on_leave);
    case Endpoint::message_voice:
    case Endpoint::message_audio:
      co_return co_await answer_voice(core, request, on_leave);
    case Endpoint::chat_socket:
    case Endpoint::chat_events:
    case Endpoint::kiss_socket:
    case Endpoint::console_events:
      break;
  }
  co_return to_response(Problem{.status = 404, .detail = "there is nothing here"}, request.id);
}

}  // namespace parlance::net
