#include "benchmarks/load/kiss_fleet.h"

#include <stdexcept>

#include <fmt/format.h>

#include "benchmarks/load/kiss_requests.h"
#include "benchmarks/support/clock.h"

namespace parlance::benchmarks {
namespace {

// Each costs the server a hash of a secret.
constexpr size_t kOpeningMax = 16;

}  // namespace

KissFleet::KissFleet(EventLoop& loop, KissObserver& observer, const Address& address)
    : loop_(loop), observer_(observer), address_(address) {}

void KissFleet::open(size_t count, int64_t timeout_ns) {
  sessions_.reserve(count);
  const auto done = [&] {
    while (sessions_.size() < count && sessions_.size() - open_count_ < kOpeningMax) start_one();
    return open_count_ == count || !failure_.empty();
  };
  const bool in_time = loop_.run_until(done, now_ns() + timeout_ns);
  if (!failure_.empty()) throw std::runtime_error(failure_);
  if (!in_time) {
    throw std::runtime_error(
        fmt::format("only {} of {} sessions opened in time", open_count_, count));
  }
}

void KissFleet::start_one() {
  sessions_.push_back(
      {std::make_unique<HttpClient>(loop_, *this, address_, sessions_.size()), {}, false});
  sessions_.back().client->send(kiss_request(address_, kAuthPath, {}, kNewSessionBody));
}

void KissFleet::ask(size_t session, std::string_view question) {
  Session& one = sessions_[session];
  one.client->send(kiss_request(address_, kQueryPath, one.token, query_body(question)));
}

void KissFleet::on_answer(HttpClient& client, int status, std::string_view body,
                          int64_t received_ns) {
  Session& session = sessions_[client.index()];
  if (session.open) {
    observer_.on_answer(client.index(), status, body, received_ns);
  } else {
    take_opening(session, status, body);
  }
}

void KissFleet::take_opening(Session& session, int status, std::string_view body) {
  if (status != 200) {
    failure_ = fmt::format("a session could not be opened: {} {}", status, body.substr(0, 300));
  } else if (!session.token.empty()) {
    session.open = true;
    ++open_count_;
  } else if (session.token = access_token_in(body); session.token.empty()) {
    failure_ = "the answer of /auth holds no access token";
  } else {
    session.client->send(kiss_request(address_, kInitPath, session.token, "{}"));
  }
}

void KissFleet::on_closed(HttpClient& client, std::string_view why) {
  if (sessions_[client.index()].open) {
    observer_.on_lost(client.index(), why);
  } else {
    failure_ = fmt::format("a session could not be opened: {}", why);
  }
}

}  // namespace parlance::benchmarks
