#include "net/front_end.h"

#include <algorithm>
#include <future>

#include <boost/asio/post.hpp>
#include <fmt/format.h>
#include <sys/resource.h>

#include "base/check.h"
#include "base/log.h"
#include "net/core.h"
#include "net/listener.h"

namespace parlance::net {
namespace {

namespace asio = boost::asio;

/// Descriptors kept for the store, model calls, logs and connections being refused.
constexpr std::size_t kFilesReserved = 512;
/// How long the last step of closing may take: handing one call to every loop.
constexpr std::chrono::milliseconds kStopTimeMax{2'000};

/// Raises the process's limit of open files as far as it may be; returns it.
std::size_t raise_file_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
  if (limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    getrlimit(RLIMIT_NOFILE, &limit);
  }
  return limit.rlim_cur;
}

}  // namespace

FrontEnd::FrontEnd(Options options, std::shared_ptr<const auth::AccessTokens> access_tokens,
                   std::span<const CoreBinding> cores)
    : shared_(std::make_shared<Shared>(std::move(options), std::move(access_tokens))) {
  CHECK(!cores.empty());
  CHECK(shared_->access_tokens != nullptr);
  for (const CoreBinding& binding : cores) {
    CHECK(binding.io != nullptr);
    cores_.push_back(std::make_shared<Core>(*binding.io, shared_, cores_.size()));
    cores_.back()->set_gateway(binding.gateway);
    shared_->cores.push_back(cores_.back().get());
  }
}

FrontEnd::~FrontEnd() = default;

actors::EventSink& FrontEnd::sink(std::size_t core) {
  return cores_.at(core)->fanout();
}

void FrontEnd::set_gateway(std::size_t core, actors::SessionGateway& gateway) {
  cores_.at(core)->set_gateway(&gateway);
}

Result<std::vector<std::string>> FrontEnd::start() {
  Result<std::vector<std::string>> bound = bind_all();
  if (!bound) return bound;

  const std::size_t files = raise_file_limit();
  const std::size_t wanted = shared_->options.connections_max;
  const std::size_t possible = files > 2 * kFilesReserved ? files - kFilesReserved : files / 2;
  if (wanted > possible) {
    log::warn("connections limited by open files wanted={} limit={}", wanted, possible);
    shared_->limits.set_open_max(possible);
  }
  for (const auto& core : cores_) {
    asio::post(core->io(), [core] { core->start(); });
  }
  for (std::size_t i = 0; i < listeners_.size(); ++i) {
    // Behind the start of its own core; another core is told to start before it can be dealt one.
    asio::post(listener_cores_[i]->io(), [listener = listeners_[i]] { listener->start(); });
  }
  return bound;
}

Result<std::vector<std::string>> FrontEnd::bind_all() {
  std::vector<BoundAddress> bound;
  const Options& options = shared_->options;
  for (const std::string& address : options.listen) {
    Result<BoundAddress> one = bind_address(address);
    if (!one) return one.error();
    if (!one->loopback && options.api_keys.empty() && !options.auth_none) {
      return Error{Errc::invalid_argument, fmt::format("'{}' {}", address, kOpenToOthers)};
    }
    bound.push_back(std::move(*one));
  }
  std::vector<std::string> texts;
  for (BoundAddress& address : bound) {
    Core& core = *cores_[listeners_.size() % cores_.size()];
    texts.push_back(address.text);
    listeners_.push_back(std::make_shared<Listener>(core, std::move(address.fd)));
    listener_cores_.push_back(&core);
  }
  return texts;
}

void FrontEnd::stop_accepting() {
  for (std::size_t i = 0; i < listeners_.size(); ++i) {
    asio::post(listener_cores_[i]->io(), [listener = listeners_[i]] { listener->stop(); });
  }
}

std::size_t FrontEnd::close_all(std::chrono::seconds retry_after,
                                std::chrono::milliseconds time_max) {
  stop_accepting();
  for (const auto& core : cores_) {
    asio::post(core->io(), [core, retry_after] { core->drain(retry_after); });
  }
  shared_->limits.wait_until_none(time_max);
  const std::size_t left = connections_open();

  // Two hops: what stop() posts to destroy its parts has run when the second is told.
  std::vector<std::future<void>> stopped;
  for (const auto& core : cores_) {
    auto told = std::make_shared<std::promise<void>>();
    stopped.push_back(told->get_future());
    asio::post(core->io(), [core, told] {
      core->stop();
      asio::post(core->io(),
                 [core, told] { asio::post(core->io(), [told] { told->set_value(); }); });
    });
  }
  const auto deadline = std::chrono::steady_clock::now() + kStopTimeMax;
  for (const auto& one : stopped) one.wait_until(deadline);
  return left;
}

std::size_t FrontEnd::connections_open() const noexcept {
  return shared_->limits.open();
}

}  // namespace parlance::net
