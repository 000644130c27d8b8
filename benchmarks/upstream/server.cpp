#include "benchmarks/upstream/server.h"

#include <algorithm>

#include <fmt/format.h>
#include <rapidjson/document.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "benchmarks/upstream/chat_reply.h"
#include "benchmarks/upstream/connection.h"

namespace parlance::benchmarks {
namespace {

constexpr size_t kRecordedRequestsMax = 64;
constexpr size_t kRecordedBytesMax = 1 << 20;

bool is_json(const std::string& text) {
  rapidjson::Document document;
  document.Parse(text.data(), text.size());
  return !document.HasParseError();
}

}  // namespace

class UpstreamServer::Acceptor : public EventSource {
 public:
  explicit Acceptor(UpstreamServer& server) : server_(server) {}
  void on_ready(uint32_t) override { server_.accept_all(); }

 private:
  UpstreamServer& server_;
};

UpstreamServer::UpstreamServer(EventLoop& loop, Fd listener, const UpstreamSettings& settings,
                               Script script)
    : loop_(loop),
      listener_(std::move(listener)),
      settings_(settings),
      vocabulary_(settings.seed),
      script_at_start_(script),
      script_(std::move(script)),
      acceptor_(std::make_unique<Acceptor>(*this)) {
  loop_.add(listener_.get(), EPOLLIN, acceptor_.get());
}

UpstreamServer::~UpstreamServer() = default;

void UpstreamServer::accept_all() {
  while (true) {
    Fd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    // Out of descriptors or nobody there: either way the next round tries again.
    if (!socket) return;
    ++stats_.connections;
    auto connection = std::make_unique<UpstreamConnection>(*this, std::move(socket));
    connection->set_index(connections_.size());
    connections_.push_back(std::move(connection));
  }
}

void UpstreamServer::drop(UpstreamConnection& connection) {
  const size_t index = connection.index();
  std::swap(connections_[index], connections_.back());
  connections_[index]->set_index(index);
  loop_.retire(std::move(connections_.back()));
  connections_.pop_back();
}

void UpstreamServer::record(Route route, std::string_view head, std::string_view body) {
  if (recorded_.size() == kRecordedRequestsMax) recorded_.pop_front();
  std::string kept = body.size() <= kRecordedBytesMax
                         ? std::string(body)
                         : fmt::format("a body of {} bytes, too long to keep", body.size());
  recorded_.push_back({route, std::string(head), std::move(kept)});
}

std::string UpstreamServer::stats_json() const {
  return fmt::format(
      R"({{"connections":{},"open":{},"requests":{},"active":{},"completed":{},"cancelled":{},"tokens":{},"bytes":{}}})",
      stats_.connections, connections_.size(), stats_.requests, stats_.active, stats_.completed,
      stats_.cancelled, stats_.tokens, stats_.bytes);
}

std::string UpstreamServer::requests_json(Route route, bool with_headers) const {
  std::string out = "[";
  for (const auto& request : recorded_) {
    if (request.route != route) continue;
    if (out.size() > 1) out += ',';
    const std::string body =
        is_json(request.body) ? request.body : '"' + json_escaped(request.body) + '"';
    out += with_headers
               ? fmt::format(R"({{"headers":"{}","body":{}}})", json_escaped(request.head), body)
               : body;
  }
  return out + "]";
}

void UpstreamServer::replace_script(Script script) {
  script_at_start_ = script;
  script_ = std::move(script);
}

void UpstreamServer::reset() {
  const uint64_t active = stats_.active;
  stats_ = {};
  stats_.active = active;
  recorded_.clear();
  script_ = script_at_start_;
}

}  // namespace parlance::benchmarks
