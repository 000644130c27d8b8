#include "net/kiss_endpoints.h"

#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "base/random.h"
#include "dialects/kiss.h"
#include "net/await_reply.h"
#include "net/http_endpoints.h"
#include "net/kiss_actions.h"

namespace parlance::net {
namespace {

namespace asio = boost::asio;
namespace kiss = dialects::kiss;
using dialects::Problem;

HttpResponse to_response(KissAnswer answer, const HttpRequest& request, bool replayed = false) {
  if (const auto* problem = std::get_if<Problem>(&answer)) {
    return net::to_response(*problem, request.id);
  }
  HttpResponse response{.body = std::get<std::string>(std::move(answer))};
  if (replayed) response.headers.emplace_back("Idempotent-Replayed", "true");
  return response;
}

asio::awaitable<HttpResponse> auth(Core& core, const HttpRequest& request) {
  auto parsed = kiss::parse_auth(request.body);
  if (auto* problem = std::get_if<Problem>(&parsed)) co_return to_response(*problem, request);
  auto done = co_await authorize(core, std::get<kiss::AuthRequest>(std::move(parsed)));
  if (auto* problem = std::get_if<Problem>(&done)) co_return to_response(*problem, request);
  co_return to_response(std::move(std::get<AuthDone>(done).answer), request);
}

asio::awaitable<HttpResponse> sessions(Core& core, const HttpRequest& request) {
  const auto action = kiss::parse_action(request.target.parameter("action"));
  if (const auto* problem = std::get_if<Problem>(&action)) co_return to_response(*problem, request);
  auto parsed = kiss::parse_session(request.body, request.client, core.options().message_bytes_max);
  if (auto* problem = std::get_if<Problem>(&parsed)) co_return to_response(*problem, request);
  co_return to_response(
      co_await change_session(core, request.client, std::get<kiss::Action>(action),
                              std::get<kiss::SessionRequest>(std::move(parsed))),
      request);
}

asio::awaitable<HttpResponse> delete_session(Core& core, const HttpRequest& request) {
  const Status deleted = co_await change_lifecycle(core, request.client, LifecycleCommand::remove);
  if (!deleted) co_return to_response(dialects::to_problem(deleted.error()), request);
  co_return no_content();
}

asio::awaitable<HttpResponse> queries(Core& core, const HttpRequest& request,
                                      std::function<void()>& on_leave) {
  auto parsed = kiss::parse_query(request.body, core.options().message_bytes_max);
  if (auto* problem = std::get_if<Problem>(&parsed)) co_return to_response(*problem, request);
  const std::string& query = std::get<kiss::QueryRequest>(parsed).query;

  SubmitMessage command;
  command.text = query;
  command.idempotency_key = request.idempotency_key;
  command.message_id.text =
      command.idempotency_key.empty() ? random_hex(16) : "idem-" + command.idempotency_key;
  command.of_client = true;
  const Result<SubmitAccepted> accepted =
      co_await submit_query(core, request.client, std::move(command));
  if (!accepted) co_return to_response(dialects::to_problem(accepted.error()), request);
  const Status ended = co_await await_end(core, request.client, accepted->message_id, &on_leave);
  if (!ended) co_return to_response(dialects::to_problem(ended.error()), request);
  co_return to_response(co_await read_answer(core, request.client, query, *accepted, {}), request,
                        accepted->duplicate);
}

asio::awaitable<HttpResponse> documents(Core& core, HttpRequest& request) {
  const std::size_t bytes = request.body.size();
  auto done = co_await store_documents(core, request.client, std::move(request.body), 0, bytes,
                                       request.idempotency_key);
  if (auto* problem = std::get_if<Problem>(&done)) co_return to_response(*problem, request);
  auto& stored = std::get<StoreDone>(done);
  co_return to_response(std::move(stored.answer), request, stored.replayed);
}

asio::awaitable<HttpResponse> passage(Core& core, const HttpRequest& request) {
  const Status may = co_await check_client(core, request.client);
  if (!may) co_return to_response(dialects::to_problem(may.error()), request);
  if (const auto id = parse_passage_id(request.route.name)) {
    auto start = [&core, &request, id](actors::SessionGateway::PassagesReply reply) {
      core.gateway().read_passages(request.client, {*id}, std::move(reply));
    };
    using Passages = Result<std::vector<PassageText>>;
    const Passages found = co_await reply_of<Passages>(std::move(start));
    if (!found) co_return to_response(dialects::to_problem(found.error()), request);
    if (!found->empty()) co_return to_response(kiss::passage_answer(found->front()), request);
  }
  co_return to_response(Problem{.status = 404, .detail = "the session has no such passage"},
                        request);
}

}  // namespace

asio::awaitable<HttpResponse> answer_kiss(Core& core, HttpRequest& request,
                                          std::function<void()>& on_leave) {
  if (!request.idempotency_key.empty() && !valid_idempotency_key(request.idempotency_key)) {
    co_return to_response(bad_idempotency_key(), request);
  }
  switch (request.route.endpoint) {
    case Endpoint::kiss_auth:
      co_return co_await auth(core, request);
    case Endpoint::kiss_sessions:
      co_return co_await sessions(core, request);
    case Endpoint::kiss_delete:
      co_return co_await delete_session(core, request);
    case Endpoint::kiss_queries:
      co_return co_await queries(core, request, on_leave);
    case Endpoint::kiss_documents:
      co_return co_await documents(core, request);
    default:
      co_return co_await passage(core, request);
  }
}

}  // namespace parlance::net
