#include "benchmarks/load/websocket_fleet.h"

#include <stdexcept>

#include <arpa/inet.h>
#include <fmt/format.h>

#include "benchmarks/support/clock.h"

namespace parlance::benchmarks {
namespace {

// One loopback address has about 28,000 free ports towards one server address.
constexpr size_t kConnectionsPerSource = 20'000;
constexpr std::string_view kChatIdPlace = "{chat_id}";

in_addr_t source_host_of(size_t index, const Address& target) {
  const size_t source = index / kConnectionsPerSource;
  const bool is_loopback = ntohl(target.host) >> 24 == 127;
  if (source == 0 || !is_loopback) return 0;
  return htonl(INADDR_LOOPBACK + static_cast<uint32_t>(source));
}

}  // namespace

WebsocketFleet::WebsocketFleet(EventLoop& loop, FleetObserver& observer,
                               const FleetOptions& options)
    : loop_(loop), observer_(observer), options_(options), url_(parse_url(options.url)) {
  if (url_.path.empty()) url_.path = kChatPath;
}

std::string WebsocketFleet::chat_id(size_t index) const {
  return fmt::format("{}-{}", options_.chat_prefix, index);
}

void WebsocketFleet::grow_to(size_t count, int64_t timeout_ns) {
  clients_.reserve(count);
  opened_.resize(count);
  const int64_t deadline_ns = now_ns() + timeout_ns;
  const auto done = [&] {
    while (clients_.size() < count && clients_.size() - open_count_ < options_.handshakes_max) {
      start_one();
    }
    return open_count_ == count || !failure_.empty();
  };
  const bool in_time = loop_.run_until(done, deadline_ns);
  if (!failure_.empty()) throw std::runtime_error(failure_);
  if (!in_time) {
    throw std::runtime_error(
        fmt::format("only {} of {} connections opened in time", open_count_, count));
  }
}

void WebsocketFleet::start_one() {
  const size_t index = clients_.size();
  WebsocketTarget target{url_.address, url_.path, options_.api_key,
                         source_host_of(index, url_.address)};
  if (const size_t place = target.path.find(kChatIdPlace); place != std::string::npos) {
    target.path.replace(place, kChatIdPlace.size(), chat_id(index));
  }
  clients_.push_back(std::make_unique<WebsocketClient>(loop_, *this, target, index));
}

void WebsocketFleet::on_open(WebsocketClient& client) {
  opened_[client.index()] = true;
  ++open_count_;
}

void WebsocketFleet::on_message(WebsocketClient& client, std::string_view payload,
                                int64_t received_ns) {
  observer_.on_message(client, payload, received_ns);
}

void WebsocketFleet::on_closed(WebsocketClient& client, std::string_view why) {
  if (!opened_[client.index()]) {
    failure_ = fmt::format("connection {} of {} to {}{} failed: {}", client.index() + 1,
                           clients_.size(), url_.address.text(), url_.path, why);
    return;
  }
  ++lost_;
  last_loss_ = why;
  observer_.on_lost(client, why);
}

}  // namespace parlance::benchmarks
