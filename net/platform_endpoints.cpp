#include "net/platform_endpoints.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "actors/platform_gateway.h"
#include "base/digest.h"
#include "base/uuid.h"
#include "dialects/platform.h"
#include "dialects/platform_messages.h"
#include "net/await_reply.h"
#include "net/history_memory.h"
#include "net/http_endpoints.h"
#include "net/message_actions.h"

namespace parlance::net {
namespace {

namespace asio = boost::asio;
namespace platform = dialects::platform;
using actors::Created;
using actors::PlatformGateway;
using dialects::Problem;

constexpr std::size_t kPageEvents = 256;
constexpr std::size_t kPageBytes = 128 << 10;

PlatformGateway& gateway(Core& core) {
  return core.gateway().platform();
}

HttpResponse refused(const Problem& problem, const HttpRequest& request) {
  return to_response(problem, request.id);
}

HttpResponse refused(const Error& error, const HttpRequest& request) {
  const std::size_t colon = error.detail.find(": ");
  if (error.code == Errc::unprocessable && error.detail.starts_with('/') &&
      colon != std::string::npos) {
    return to_response(
        dialects::invalid_body({{error.detail.substr(0, colon), error.detail.substr(colon + 2)}}),
        request.id);
  }
  return to_response(dialects::to_problem(error), request.id);
}

// ---- What agents and sessions have in common ----

struct AgentKind {
  using Entity = Agent;
  static constexpr std::string_view kPath = "/api/v1/agent/";
  static std::string json(const Agent& agent) { return platform::agent_json(agent); }
};

struct SessionKind {
  using Entity = PlatformSession;
  static constexpr std::string_view kPath = "/api/v1/session/";
  static std::string json(const PlatformSession& session) {
    return platform::session_json(session);
  }
};

template <class Kind>
HttpResponse entity(const typename Kind::Entity& entity) {
  HttpResponse response{.body = Kind::json(entity)};
  response.headers.emplace_back("ETag", platform::etag_of(entity.version));
  return response;
}

template <class Kind>
HttpResponse found(const Result<typename Kind::Entity>& result, const HttpRequest& request) {
  return result ? entity<Kind>(*result) : refused(result.error(), request);
}

template <class Kind>
HttpResponse created(const Result<Created<typename Kind::Entity>>& result,
                     const HttpRequest& request) {
  if (!result) return refused(result.error(), request);
  HttpResponse response = entity<Kind>(result->entity);
  response.status = 201;
  response.headers.emplace_back("Location", std::string(Kind::kPath) + result->entity.id.text);
  if (result->replayed) response.headers.emplace_back("Idempotent-Replayed", "true");
  return response;
}

HttpResponse deleted(const Status& status, const HttpRequest& request) {
  return status ? no_content() : refused(status.error(), request);
}

RepeatableRequest repeatable(const HttpRequest& request) {
  if (request.idempotency_key.empty()) return {};
  return {.key = request.idempotency_key, .digest = sha256(request.body)};
}

bool names_agent(const HttpRequest& request) {
  const Endpoint endpoint = request.route.endpoint;
  return endpoint == Endpoint::agent_read || endpoint == Endpoint::agent_update ||
         endpoint == Endpoint::agent_delete;
}

// ---- Reading ----

asio::awaitable<Result<Agent>> read_agent(Core& core, const HttpRequest& request) {
  auto start = [&core, &request](PlatformGateway::Reply<Agent> reply) {
    gateway(core).read_agent(AgentId{request.route.name}, std::move(reply));
  };
  co_return co_await reply_of<Result<Agent>>(std::move(start));
}

asio::awaitable<Result<PlatformSession>> read_session(Core& core, const HttpRequest& request) {
  auto start = [&core, &request](PlatformGateway::Reply<PlatformSession> reply) {
    gateway(core).read_session(SessionId{request.route.name}, std::move(reply));
  };
  co_return co_await reply_of<Result<PlatformSession>>(std::move(start));
}

asio::awaitable<Result<std::uint64_t>> current_version(Core& core, const HttpRequest& request) {
  if (names_agent(request)) {
    const Result<Agent> agent = co_await read_agent(core, request);
    if (!agent) co_return agent.error();
    co_return agent->version;
  }
  const Result<PlatformSession> session = co_await read_session(core, request);
  if (!session) co_return session.error();
  co_return session->version;
}

/// The version that a change is bound to, where it is to one, or why it cannot be made.
using Bound = std::variant<std::optional<std::uint64_t>, Problem>;
asio::awaitable<Bound> bound_version(Core& core, const HttpRequest& request) {
  const auto parsed = platform::parse_if_match(request.if_match);
  if (const auto* problem = std::get_if<Problem>(&parsed)) co_return *problem;
  const auto& condition = std::get<platform::VersionCondition>(parsed);
  if (condition.any) co_return std::optional<std::uint64_t>();
  if (condition.versions.size() == 1) co_return std::optional(condition.versions.front());
  const Result<std::uint64_t> current = co_await current_version(core, request);
  if (!current) co_return dialects::to_problem(current.error());
  const auto& versions = condition.versions;
  if (std::find(versions.begin(), versions.end(), *current) == versions.end()) {
    co_return dialects::to_problem(
        {Errc::outdated, "it is no version that If-Match names; read it again"});
  }
  co_return std::optional(*current);
}

/// One more than the page has is asked for, which tells whether there is a next one.
ListRange with_one_more(ListRange range) {
  ++range.limit;
  return range;
}

// ---- Agents ----

asio::awaitable<HttpResponse> create_agent(Core& core, const HttpRequest& request) {
  auto parsed = platform::parse_agent(request.body);
  if (const auto* problem = std::get_if<Problem>(&parsed)) co_return refused(*problem, request);
  auto& settings = std::get<AgentSettings>(parsed);
  auto start = [&core, &settings, &request](PlatformGateway::Reply<Created<Agent>> reply) {
    gateway(core).create_agent(std::move(settings), repeatable(request), std::move(reply));
  };
  using Reply = Result<Created<Agent>>;
  const Reply reply = co_await reply_of<Reply>(std::move(start));
  co_return created<AgentKind>(reply, request);
}

asio::awaitable<HttpResponse> update_agent(Core& core, const HttpRequest& request) {
  auto parsed = platform::parse_agent(request.body);
  if (const auto* problem = std::get_if<Problem>(&parsed)) co_return refused(*problem, request);
  const Bound bound = co_await bound_version(core, request);
  if (const auto* problem = std::get_if<Problem>(&bound)) co_return refused(*problem, request);
  auto& settings = std::get<AgentSettings>(parsed);
  const auto version = std::get<std::optional<std::uint64_t>>(bound);
  auto start = [&core, &settings, &request, version](PlatformGateway::Reply<Agent> reply) {
    gateway(core).update_agent(AgentId{request.route.name}, std::move(settings), version,
                               std::move(reply));
  };
  const Result<Agent> reply = co_await reply_of<Result<Agent>>(std::move(start));
  co_return found<AgentKind>(reply, request);
}

asio::awaitable<HttpResponse> delete_agent(Core& core, const HttpRequest& request) {
  const auto parsed = platform::parse_cascade(request.target.parameter("cascade"));
  if (const auto* problem = std::get_if<Problem>(&parsed)) co_return refused(*problem, request);
  const Bound bound = co_await bound_version(core, request);
  if (const auto* problem = std::get_if<Problem>(&bound)) co_return refused(*problem, request);
  const bool cascade = std::get<bool>(parsed);
  const auto version = std::get<std::optional<std::uint64_t>>(bound);
  auto start = [&core, &request, cascade, version](PlatformGateway::StatusReply reply) {
    gateway(core).delete_agent(AgentId{request.route.name}, cascade, version, std::move(reply));
  };
  const Status reply = co_await reply_of<Status>(std::move(start));
  co_return deleted(reply, request);
}

// ---- Lists ----

/// What a list is taken to need before it is read: as long as most are, or all that a page may be.
std::size_t list_bytes(const Core& core, const ListRange& range) {
  constexpr std::size_t kEntryBytes = 4 << 10;
  return std::min(range.limit * kEntryBytes, core.options().history_bytes_max);
}

HttpResponse list_response(std::string body, const std::shared_ptr<HistoryMemory>& held) {
  held->set(body.size());
  return {.body = std::move(body), .until_written = held};
}

asio::awaitable<HttpResponse> list_agents(Core& core, const HttpRequest& request) {
  const auto parsed =
      platform::parse_range(request.target.parameter("limit"), request.target.parameter("cursor"));
  if (const auto* problem = std::get_if<Problem>(&parsed)) co_return refused(*problem, request);
  const auto& range = std::get<ListRange>(parsed);
  if (const auto refusal = too_much_is_read(core, "lists")) co_return refused(*refusal, request);
  const auto held = std::make_shared<HistoryMemory>(core);
  held->add(list_bytes(core, range));
  using Agents = Result<std::vector<Agent>>;
  auto start = [&core, &range](PlatformGateway::Reply<std::vector<Agent>> reply) {
    gateway(core).list_agents(with_one_more(range), std::move(reply));
  };
  const Agents agents = co_await reply_of<Agents>(std::move(start));
  if (!agents) co_return refused(agents.error(), request);
  co_return list_response(platform::agents_json(*agents, range.limit), held);
}

// ---- Sessions ----

asio::awaitable<HttpResponse> create_session(Core& core, const HttpRequest& request) {
  auto parsed = platform::parse_session(request.body);
  if (const auto* problem = std::get_if<Problem>(&parsed)) co_return refused(*problem, request);
  auto& settings = std::get<PlatformSessionSettings>(parsed);
  using Reply = Result<Created<PlatformSession>>;
  auto start = [&core, &settings,
                &request](PlatformGateway::Reply<Created<PlatformSession>> reply) {
    gateway(core).create_session(std::move(settings), repeatable(request), std::move(reply));
  };
  const Reply reply = co_await reply_of<Reply>(std::move(start));
  co_return created<SessionKind>(reply, request);
}

asio::awaitable<HttpResponse> update_session(Core& core, const HttpRequest& request) {
  auto parsed = platform::parse_session(request.body);
  if (const auto* problem = std::get_if<Problem>(&parsed)) co_return refused(*problem, request);
  const Bound bound = co_await bound_version(core, request);
  if (const auto* problem = std::get_if<Problem>(&bound)) co_return refused(*problem, request);
  auto& settings = std::get<PlatformSessionSettings>(parsed);
  const auto version = std::get<std::optional<std::uint64_t>>(bound);
  auto start = [&core, &settings, &request,
                version](PlatformGateway::Reply<PlatformSession> reply) {
    gateway(core).update_session(SessionId{request.route.name}, std::move(settings), version,
                                 std::move(reply));
  };
  const Result<PlatformSession> reply =
      co_await reply_of<Result<PlatformSession>>(std::move(start));
  co_return found<SessionKind>(reply, request);
}

asio::awaitable<HttpResponse> delete_session(Core& core, const HttpRequest& request) {
  const Bound bound = co_await bound_version(core, request);
  if (const auto* problem = std::get_if<Problem>(&bound)) co_return refused(*problem, request);
  const auto version = std::get<std::optional<std::uint64_t>>(bound);
  auto start = [&core, &request, version](PlatformGateway::StatusReply reply) {
    gateway(core).delete_session(SessionId{request.route.name}, version, std::move(reply));
  };
  const Status reply = co_await reply_of<Status>(std::move(start));
  co_return deleted(reply, request);
}

asio::awaitable<HttpResponse> list_sessions(Core& core, const HttpRequest& request) {
  const auto parsed =
      platform::parse_range(request.target.parameter("limit"), request.target.parameter("cursor"));
  if (const auto* problem = std::get_if<Problem>(&parsed)) co_return refused(*problem, request);
  const auto filter = platform::parse_agent_filter(request.target.parameter("agent_id"));
  if (const auto* problem = std::get_if<Problem>(&filter)) co_return refused(*problem, request);
  const auto& range = std::get<ListRange>(parsed);
  const auto& agent = std::get<std::optional<AgentId>>(filter);
  if (const auto refusal = too_much_is_read(core, "lists")) co_return refused(*refusal, request);
  const auto held = std::make_shared<HistoryMemory>(core);
  held->add(list_bytes(core, range));
  using Sessions = Result<std::vector<PlatformSession>>;
  auto start = [&core, &range, &agent](PlatformGateway::Reply<std::vector<PlatformSession>> reply) {
    gateway(core).list_sessions(with_one_more(range), agent, std::move(reply));
  };
  const Sessions sessions = co_await reply_of<Sessions>(std::move(start));
  if (!sessions) co_return refused(sessions.error(), request);
  co_return list_response(platform::sessions_json(*sessions, range.limit), held);
}

// ---- Messages ----

/// Waits for the answer. The run does not end where the client leaves.
asio::awaitable<HttpResponse> send_message(Core& core, const HttpRequest& request,
                                           std::function<void()>& on_leave) {
  auto prepared = co_await prepare_message(core, request);
  if (const auto* problem = std::get_if<Problem>(&prepared)) co_return refused(*problem, request);
  auto submitted = co_await submit_message(core, std::get<PreparedMessage>(std::move(prepared)));
  if (const auto* problem = std::get_if<Problem>(&submitted)) co_return refused(*problem, request);
  auto& message = std::get<SubmittedMessage>(submitted);
  const Status ended = co_await await_end(core, message.session, message.run, &on_leave);
  const Answer answer = co_await read_message_answer(core, message, ended, {});
  HttpResponse response;
  if (const auto* problem = std::get_if<Problem>(&answer)) {
    response = refused(*problem, request);
  } else {
    response.status = 201;
    response.body = platform::message_json(message.session, std::get<platform::Message>(answer));
  }
  if (message.replayed) response.headers.emplace_back("Idempotent-Replayed", "true");
  co_return response;
}

/// Reads the log until `reader` has its page; why it could not.
asio::awaitable<std::optional<Problem>> read_page(Core& core, const SessionId& session,
                                                  EventSeq after,
                                                  platform::ConversationReader& reader,
                                                  HistoryMemory& held) {
  while (!reader.done()) {
    if (auto refusal = too_much_is_read(core, "conversations")) co_return refusal;
    const ReadEvents range{
        .after = after, .before = {}, .events_max = kPageEvents, .bytes_max = kPageBytes};
    auto start = [&core, &session, range](actors::SessionGateway::PageReply reply) {
      core.gateway().read(session, range, std::move(reply));
    };
    const Result<EventPage> page = co_await reply_of<Result<EventPage>>(std::move(start));
    if (!page) co_return dialects::to_problem(page.error());
    if (page->events.empty()) break;
    const std::size_t before = reader.bytes();
    for (const RecordedEvent& event : page->events) reader.add(event);
    held.add(reader.bytes() - before);
    after = page->events.back().cursor.seq;
  }
  co_return std::nullopt;
}

asio::awaitable<HttpResponse> conversation(Core& core, const HttpRequest& request) {
  const auto parsed = platform::parse_conversation_range(request.target.parameter("limit"),
                                                         request.target.parameter("cursor"));
  if (const auto* problem = std::get_if<Problem>(&parsed)) co_return refused(*problem, request);
  const Result<PlatformSession> session = co_await read_session(core, request);
  if (!session) co_return refused(session.error(), request);

  const auto held = std::make_shared<HistoryMemory>(core);
  auto range = std::get<platform::ConversationRange>(parsed);
  while (true) {
    platform::ConversationReader reader(session->id, range, core.options().history_bytes_max);
    const auto problem =
        co_await read_page(core, session->id, range.from.read_after, reader, *held);
    if (problem) co_return refused(*problem, request);
    if (reader.lacks_beginning()) {
      range.from.read_after = 0;  // Never lacks it then.
      continue;
    }
    HttpResponse response{.body = reader.page(), .until_written = held};
    held->add(response.body.size());
    co_return response;
  }
}

bool names_nothing(Endpoint endpoint) {
  return endpoint == Endpoint::agent_create || endpoint == Endpoint::agent_list ||
         endpoint == Endpoint::session_create || endpoint == Endpoint::session_list ||
         endpoint == Endpoint::message_text;
}

/// What is wrong whatever the request wants: its key, or the id in its path.
std::optional<Problem> find_flaw(const HttpRequest& request) {
  if (!request.idempotency_key.empty() && !valid_idempotency_key(request.idempotency_key)) {
    return bad_idempotency_key();
  }
  if (names_nothing(request.route.endpoint) || is_uuid(request.route.name)) return std::nullopt;
  if (names_agent(request)) return platform::no_such_agent();
  if (request.route.endpoint == Endpoint::message_retry) return platform::no_such_message();
  return platform::no_such_session();
}

}  // namespace

asio::awaitable<HttpResponse> answer_platform(Core& core, HttpRequest& request,
                                              std::function<void()>& on_leave) {
  if (const std::optional<Problem> flaw = find_flaw(request)) co_return refused(*flaw, request);
  switch (request.route.endpoint) {
    case Endpoint::agent_create:
      co_return co_await create_agent(core, request);
    case Endpoint::agent_list:
      co_return co_await list_agents(core, request);
    case Endpoint::agent_read: {
      const Result<Agent> agent = co_await read_agent(core, request);
      co_return found<AgentKind>(agent, request);
    }
    case Endpoint::agent_update:
      co_return co_await update_agent(core, request);
    case Endpoint::agent_delete:
      co_return co_await delete_agent(core, request);
    case Endpoint::session_create:
      co_return co_await create_session(core, request);
    case Endpoint::session_list:
      co_return co_await list_sessions(core, request);
    case Endpoint::session_read: {
      const Result<PlatformSession> session = co_await read_session(core, request);
      co_return found<SessionKind>(session, request);
    }
    case Endpoint::session_update:
      co_return co_await update_session(core, request);
    case Endpoint::session_delete:
      co_return co_await delete_session(core, request);
    case Endpoint::conversation:
      co_return co_await conversation(core, request);
    default:
      co_return co_await send_message(core, request, on_leave);
  }
}

}  // namespace parlance::net
