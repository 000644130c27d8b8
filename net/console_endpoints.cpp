#include "net/console_endpoints.h"

#include <algorithm>
#include <charconv>
#include <functional>
#include <memory>
#include <utility>
#include <variant>

#include <fmt/format.h>

#include "base/log.h"
#include "dialects/console.h"
#include "net/await_reply.h"
#include "net/body_stream.h"
#include "net/console_feed.h"
#include "net/http_endpoints.h"
#include "net/places.h"

namespace parlance::net {
namespace {

namespace asio = boost::asio;
namespace console = dialects::console;
using dialects::Problem;

/// Of a log that are read in one go: how long making their JSON may keep a core from its others.
constexpr std::size_t kPageBytes = 128 << 10;
constexpr std::size_t kPageEvents = 200;

asio::awaitable<HttpResponse> read_state(Core& core) {
  auto start = [&core](std::function<void(ConsoleFeed::Json)> reply) {
    core.shared().console->read_state(core, std::move(reply));
  };
  const ConsoleFeed::Json state = co_await reply_of<ConsoleFeed::Json>(std::move(start));
  co_return HttpResponse{.body = *state};
}

// ---- A session's log ----

asio::awaitable<Result<EventPage>> read_page(Core& core, const SessionId& session,
                                             ReadEvents range) {
  auto start = [&core, &session, range](actors::SessionGateway::PageReply reply) {
    core.gateway().read(session, range, std::move(reply));
  };
  co_return co_await reply_of<Result<EventPage>>(std::move(start));
}

/// A whole log as JSON Lines, read while it is sent: a page at a time, so that no more of it is in
/// memory. What is recorded meanwhile is not in it.
class LogBody final : public BodyStream {
 public:
  LogBody(Core& core, SessionId session, EventSeq last, Places::Place place)
      : core_(core.shared_from_this()),
        session_(std::move(session)),
        last_(last),
        place_(std::move(place)) {}

  std::optional<std::uint64_t> length() const override { return std::nullopt; }

  asio::awaitable<Result<std::string>> next() override {
    std::string lines;
    if (after_ >= last_) co_return lines;
    ReadEvents range;
    range.after = after_;
    range.events_max = kPageEvents;
    range.bytes_max = kPageBytes;
    Result<EventPage> page = co_await read_page(*core_, session_, range);
    if (!page) co_return page.error();
    for (const RecordedEvent& event : page->events) {
      if (event.cursor.seq > last_) break;
      after_ = event.cursor.seq;
      console::append_event(lines, event);
      lines += '\n';
    }
    // No piece would say that this was all.
    if (lines.empty()) co_return Error{Errc::not_found, "the log was erased while it was sent"};
    co_return lines;
  }

 private:
  const std::shared_ptr<Core> core_;
  const SessionId session_;
  const EventSeq last_;
  EventSeq after_ = 0;
  const Places::Place place_;
};

Problem too_many(const Places& places, std::string_view what) {
  Problem problem{.status = 503,
                  .detail = fmt::format("{} {} being sent, which is the most at once; try again "
                                        "when one has ended",
                                        places.most(), what)};
  problem.retry_after = std::chrono::seconds(5);
  return problem;
}

/// A parameter that is a number of at least `least`.
std::variant<std::optional<std::uint64_t>, Problem> number(const RequestTarget& target,
                                                           std::string_view name,
                                                           std::uint64_t least) {
  const auto text = target.parameter(name);
  if (!text) return std::nullopt;
  std::uint64_t value = 0;
  const auto parsed = std::from_chars(text->data(), text->data() + text->size(), value);
  if (parsed.ec == std::errc{} && parsed.ptr == text->data() + text->size() && value >= least) {
    return value;
  }
  return Problem{.status = 400,
                 .detail = fmt::format("`{}` must be a number of at least {}", name, least)};
}

/// The newest events; those before a place; or those after one.
std::variant<ReadEvents, Problem> page_range(const RequestTarget& target) {
  ReadEvents range;
  range.from_end = true;
  range.events_max = 50;
  range.bytes_max = kPageBytes;
  for (const std::string_view name : {"limit", "before", "after"}) {
    const auto parsed = number(target, name, name == "after" ? 0 : 1);
    if (const auto* problem = std::get_if<Problem>(&parsed)) return *problem;
    const auto value = std::get<std::optional<std::uint64_t>>(parsed);
    if (!value) continue;
    if (name == "limit") {
      range.events_max = static_cast<std::size_t>(std::min<std::uint64_t>(*value, kPageEvents));
      continue;
    }
    if (!range.from_end) {
      return Problem{.status = 400, .detail = "give `before` or `after`, not both"};
    }
    range.from_end = false;
    name == "before" ? static_cast<void>(range.before = *value)
                     : static_cast<void>(range.after = *value);
  }
  return range;
}

HttpResponse download(Core& core, SessionId session, EventSeq last, Places::Place place) {
  HttpResponse response{.content_type = "application/jsonl; charset=utf-8"};
  // The characters of a session's id need no quoting there.
  response.headers.emplace_back("Content-Disposition",
                                fmt::format("attachment; filename=\"{}.jsonl\"", session.text));
  response.stream = std::make_shared<LogBody>(core, std::move(session), last, std::move(place));
  return response;
}

asio::awaitable<HttpResponse> read_log(Core& core, const HttpRequest& request) {
  const SessionId session{request.route.name};
  const std::string_view format = request.target.parameter("format").value_or("json");
  if (format != "json" && format != "jsonl") {
    co_return to_response({.status = 400, .detail = "`format` must be json or jsonl"}, request.id);
  }
  auto parsed = page_range(request.target);
  if (const auto* problem = std::get_if<Problem>(&parsed)) {
    co_return to_response(*problem, request.id);
  }
  ReadEvents range = std::get<ReadEvents>(parsed);
  const bool whole = format == "jsonl";
  if (whole) {
    range = {};
    range.from_end = true;
    range.events_max = 1;
  }
  Places& places = whole ? core.shared().log_downloads : core.shared().log_pages;
  Places::Place place = places.take();
  if (place == nullptr) {
    co_return to_response(too_many(places, whole ? "whole logs are" : "pages of logs are"),
                          request.id);
  }
  const Result<EventPage> page = co_await read_page(core, session, range);
  if (!page) co_return to_response(dialects::to_problem(page.error()), request.id);
  if (page->last.seq == 0) {
    co_return to_response({.status = 404, .detail = "this session has no log"}, request.id);
  }
  log::info("console reads a log session={} whole={}", session.text, whole);
  if (whole) co_return download(core, session, page->last.seq, std::move(place));
  HttpResponse response{.body = console::page_json(session, page->last.seq, page->events)};
  response.until_written = std::move(place);
  co_return response;
}

// ---- Stopping a run ----

asio::awaitable<HttpResponse> stop(Core& core, const HttpRequest& request) {
  HttpResponse response = co_await cancel_run(core, request);
  if (response.status == 200) log::info("console stopped a run session={}", request.route.name);
  co_return response;
}

}  // namespace

asio::awaitable<HttpResponse> answer_console(Core& core, const HttpRequest& request) {
  switch (request.route.endpoint) {
    case Endpoint::console_state:
      co_return co_await read_state(core);
    case Endpoint::console_history:
      co_return HttpResponse{.body = core.shared().console->history_json()};
    case Endpoint::console_log:
      co_return co_await read_log(core, request);
    case Endpoint::console_stop:
      co_return co_await stop(core, request);
    default:
      co_return to_response({.status = 404, .detail = "there is nothing here"}, request.id);
  }
}

Problem too_many_consoles() {
  Problem problem{.status = 503,
                  .detail = fmt::format("{} consoles are open, which is the most at once; close "
                                        "one and try again",
                                        ConsoleFeed::kReadersMax)};
  problem.retry_after = std::chrono::seconds(5);
  return problem;
}

}  // namespace parlance::net
