#include "net/kiss_actions.h"

#include <chrono>
#include <optional>
#include <vector>

#include "base/digest.h"
#include "base/metrics.h"
#include "base/random.h"
#include "dialects/kiss_documents.h"
#include "net/await_reply.h"

namespace parlance::net {
namespace {

namespace asio = boost::asio;
namespace kiss = dialects::kiss;
using dialects::Problem;

/// Of the log, read in one go for an answer.
constexpr std::size_t kPageEvents = 256;
constexpr std::size_t kPageBytes = 128 << 10;
constexpr std::size_t kIdBytes = 16;

Problem to_problem(const Error& error) {
  return dialects::to_problem(error);
}

Problem too_much_waits() {
  return to_problem({Errc::unavailable, "too many documents are being taken in; try again later"});
}

using ParsedDocuments = std::variant<StoreDocuments, Problem>;

/// Takes `text`, so that it is gone when the documents are there.
ParsedDocuments parse_documents(std::string text, std::size_t begin, std::size_t bytes,
                                std::string idempotency_key) {
  std::string digest;
  if (!idempotency_key.empty()) {
    digest = sha256(std::string_view(text).substr(begin, bytes));
  }
  ParsedDocuments parsed =
      kiss::parse_documents(text, begin, bytes, [] { return random_hex(kIdBytes); });
  if (auto* command = std::get_if<StoreDocuments>(&parsed)) {
    command->idempotency_key = std::move(idempotency_key);
    command->digest = std::move(digest);
  }
  return parsed;
}

}  // namespace

Result<Bearer> read_access_token(const Shared& shared, std::string_view token) {
  Result<auth::Claims> claims = shared.access_tokens->verify(token, wall_now());
  if (!claims) return claims.error();
  if (!valid_session_id(claims->client_id)) {
    return Error{Errc::unauthenticated, "the access token names no client"};
  }
  return Bearer{SessionId{std::move(claims->client_id)}, claims->expires};
}

bool DocumentMemory::grow_to(std::size_t bytes) {
  if (bytes <= bytes_) return true;
  const std::size_t more = bytes - bytes_;
  const std::size_t total_max = core_->options().documents_bytes_total_max;
  if (core_->document_bytes > total_max || more > total_max - core_->document_bytes) return false;
  take(more);
  return true;
}

void DocumentMemory::take(std::size_t bytes) {
  bytes_ += bytes;
  core_->document_bytes += bytes;
}

asio::awaitable<std::variant<AuthDone, Problem>> authorize(Core& core, kiss::AuthRequest request) {
  using Reply = Result<actors::Authorized>;
  auto start = [&core, &request](actors::SessionGateway::AuthorizedReply reply) {
    if (auto* fresh = std::get_if<kiss::NewClient>(&request)) {
      core.gateway().create_client(fresh->scope, std::move(reply));
    } else {
      auto& known = std::get<kiss::KnownClient>(request);
      core.gateway().refresh_client(std::move(known.id), std::move(known.secret), std::move(reply));
    }
  };
  const Reply authorized = co_await reply_of<Reply>(std::move(start));
  if (!authorized) co_return to_problem(authorized.error());

  const auth::AccessTokens& tokens = *core.shared().access_tokens;
  const WallTime now = wall_now();
  const std::string token =
      tokens.issue(authorized->client.text, to_string(authorized->scope), now);
  const std::chrono::milliseconds lifetime = tokens.expires();
  co_return AuthDone{.answer = kiss::auth_answer(authorized->client, authorized->scope,
                                                 authorized->secret, token, tokens.expires()),
                     .bearer = {authorized->client, WallTime{now.ms + lifetime.count()}}};
}

asio::awaitable<Status> change_lifecycle(Core& core, SessionId session, LifecycleCommand command) {
  auto start = [&core, &session, command](actors::SessionGateway::StatusReply reply) {
    core.gateway().change_lifecycle(session, command, std::move(reply));
  };
  co_return co_await reply_of<Status>(std::move(start));
}

asio::awaitable<Status> check_client(Core& core, SessionId client) {
  co_return co_await change_lifecycle(core, client, LifecycleCommand::check);
}

asio::awaitable<KissAnswer> change_session(Core& core, SessionId client, kiss::Action action,
                                           kiss::SessionRequest request) {
  const Status changed = co_await change_lifecycle(
      core, client,
      action == kiss::Action::init ? LifecycleCommand::initialize : LifecycleCommand::close);
  if (!changed) co_return to_problem(changed.error());
  co_return kiss::session_answer(client, action, request);
}

asio::awaitable<Result<SubmitAccepted>> submit_query(Core& core, SessionId client,
                                                     SubmitMessage command) {
  auto start = [&core, &client, &command](actors::SessionGateway::SubmitReply reply) {
    core.gateway().submit(client, std::move(command), std::move(reply));
  };
  co_return co_await reply_of<Result<SubmitAccepted>>(std::move(start));
}

asio::awaitable<Status> await_end(Core& core, SessionId client, MessageId message,
                                  std::function<void()>* on_leave) {
  auto start = [&core, &client, &message, on_leave](actors::SessionGateway::StatusReply reply) {
    // Whichever comes first is the reply; the other comes to nothing.
    auto once = std::make_shared<actors::SessionGateway::StatusReply>(std::move(reply));
    const auto tell = [once](const Status& status) {
      if (const auto first = std::exchange(*once, nullptr)) first(status);
    };
    if (on_leave != nullptr) {
      *on_leave = [tell] { tell(Error{Errc::cancelled, "nobody waits for the answer"}); };
    }
    core.gateway().await_end(client, std::move(message), tell, {});
  };
  const Status ended = co_await reply_of<Status>(std::move(start));
  if (on_leave != nullptr) *on_leave = nullptr;
  co_return ended;
}

asio::awaitable<KissAnswer> read_answer(Core& core, SessionId client, std::string query,
                                        SubmitAccepted accepted, OnPage on_page) {
  kiss::RunReader run(accepted.message_id);
  EventSeq after = accepted.cursor.seq;
  while (!run.ended()) {
    const ReadEvents range{
        .after = after, .before = {}, .events_max = kPageEvents, .bytes_max = kPageBytes};
    auto start = [&core, &client, range](actors::SessionGateway::PageReply reply) {
      core.gateway().read(client, range, std::move(reply));
    };
    const Result<EventPage> page = co_await reply_of<Result<EventPage>>(std::move(start));
    if (!page) co_return to_problem(page.error());
    if (page->events.empty()) break;
    for (const RecordedEvent& event : page->events) run.add(event);
    after = page->events.back().cursor.seq;
    if (on_page && !co_await on_page(page->events)) break;
  }
  std::vector<PassageText> texts;
  if (std::vector<PassageId> ids = run.passages(); !ids.empty()) {
    auto start = [&core, &client, &ids](actors::SessionGateway::PassagesReply reply) {
      core.gateway().read_passages(client, std::move(ids), std::move(reply));
    };
    using Passages = Result<std::vector<PassageText>>;
    Passages found = co_await reply_of<Passages>(std::move(start));
    if (!found) co_return to_problem(found.error());
    texts = std::move(*found);
  }
  co_return run.answer(client, query, texts);
}

asio::awaitable<std::variant<StoreDone, Problem>> store_documents(Core& core, SessionId client,
                                                                  std::string text,
                                                                  std::size_t begin,
                                                                  std::size_t bytes,
                                                                  std::string idempotency_key) {
  auto body = std::make_shared<std::string>(std::move(text));
  std::function<ParsedDocuments()> work = [body, begin, bytes, key = std::move(idempotency_key)] {
    const auto started = std::chrono::steady_clock::now();
    ParsedDocuments documents = parse_documents(std::move(*body), begin, bytes, key);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started;
    metrics::get().document_stages.parse.observe(took.count());
    return documents;
  };
  std::optional<ParsedDocuments> parsed =
      co_await in_background<ParsedDocuments>(core, std::move(work));
  if (!parsed) co_return too_much_waits();
  if (auto* problem = std::get_if<Problem>(&*parsed)) co_return std::move(*problem);

  auto& command = std::get<StoreDocuments>(*parsed);
  auto start = [&core, &client, &command](actors::SessionGateway::StoreReply reply) {
    core.gateway().store(client, std::move(command), std::move(reply));
  };
  using Stored = Result<DocumentsAccepted>;
  const Stored stored = co_await reply_of<Stored>(std::move(start));
  if (!stored) co_return to_problem(stored.error());
  co_return StoreDone{kiss::documents_answer(client, *stored), stored->replayed};
}

}  // namespace parlance::net
