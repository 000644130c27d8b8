// What a client of the KISS stack may do, the same over REST and over /ws: asks the gateway, and
// puts the answer together. Coroutines; thread: the core that is given, which outlives them.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include <boost/asio/awaitable.hpp>

#include "base/result.h"
#include "dialects/kiss.h"
#include "dialects/kiss_answer.h"
#include "dialects/problem.h"
#include "net/core.h"

namespace parlance::net {

/// Whom an access token speaks for.
struct Bearer {
  SessionId client;
  WallTime expires;
};

/// Errors: unauthenticated, for a token that is not one of ours or too old. Whether its client may
/// still come in is another question: check_client().
Result<Bearer> read_access_token(const Shared& shared, std::string_view token);

/// The object that REST answers with, or why not.
using KissAnswer = std::variant<std::string, dialects::Problem>;

/// What one request holds of Options::documents_bytes_total_max.
class DocumentMemory {
 public:
  explicit DocumentMemory(Core& core) : core_(core.shared_from_this()) {}
  ~DocumentMemory() { release(); }
  DocumentMemory(const DocumentMemory&) = delete;
  DocumentMemory& operator=(const DocumentMemory&) = delete;
  /// Holds `bytes` in all from now on, where that is more; false when that is too much.
  bool grow_to(std::size_t bytes);
  /// The same for what is in memory already: never refused.
  void take(std::size_t bytes);
  void release() noexcept { core_->document_bytes -= std::exchange(bytes_, 0); }

 private:
  std::shared_ptr<Core> core_;
  std::size_t bytes_ = 0;
};

struct AuthDone {
  std::string answer;
  Bearer bearer;
};
boost::asio::awaitable<std::variant<AuthDone, dialects::Problem>> authorize(
    Core& core, dialects::kiss::AuthRequest request);

/// What SessionGateway::change_lifecycle does.
boost::asio::awaitable<Status> change_lifecycle(Core& core, SessionId session,
                                                LifecycleCommand command);

/// Whether `client` may still come in.
boost::asio::awaitable<Status> check_client(Core& core, SessionId client);

boost::asio::awaitable<KissAnswer> change_session(Core& core, SessionId client,
                                                  dialects::kiss::Action action,
                                                  dialects::kiss::SessionRequest request);

boost::asio::awaitable<Result<SubmitAccepted>> submit_query(Core& core, SessionId client,
                                                            SubmitMessage command);

/// Waits for the end of the run. While it does, `on_leave` holds what ends the waiting early, with
/// `cancelled`; the run goes on.
boost::asio::awaitable<Status> await_end(Core& core, SessionId client, MessageId message,
                                         std::function<void()>* on_leave);

/// Called with every page of the log that is read for an answer; false ends the reading.
using OnPage = std::function<boost::asio::awaitable<bool>(std::span<const RecordedEvent>)>;

/// The answer of a run that has ended, from the log behind `accepted`. `on_page` may be empty.
boost::asio::awaitable<KissAnswer> read_answer(Core& core, SessionId client, std::string query,
                                               SubmitAccepted accepted, OnPage on_page);

struct StoreDone {
  std::string answer;
  bool replayed = false;
};
/// Parses `bytes` of `text` from `begin` on in the background and stores the documents.
boost::asio::awaitable<std::variant<StoreDone, dialects::Problem>> store_documents(
    Core& core, SessionId client, std::string text, std::size_t begin, std::size_t bytes,
    std::string idempotency_key);

}  // namespace parlance::net
