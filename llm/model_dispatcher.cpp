#include "llm/model_dispatcher.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/random.h"
#include "http/transfer_loop.h"
#include "llm/offline_provider.h"
#include "llm/openai_provider.h"
#include "llm/provider_gate.h"
#include "llm/provider_meter.h"
#include "llm/retry_policy.h"

namespace parlance::llm {
namespace {

using std::chrono::milliseconds;

/// Those that are tried in order.
std::vector<ProviderOptions> providers_in_order(const Options& options) {
  if (options.providers.empty()) return {ProviderOptions{}};
  return options.providers;
}

/// All: those in order, then those that only a call that names them uses.
std::vector<ProviderOptions> providers_of(const Options& options) {
  std::vector<ProviderOptions> all = providers_in_order(options);
  all.insert(all.end(), options.named.begin(), options.named.end());
  return all;
}

/// Enough that a burst of all the calls there may be leaves its connections open for the next one.
std::size_t connections_max(const Options& options) {
  std::size_t sum = 0;
  for (const ProviderOptions& provider : providers_of(options)) {
    if (provider.kind != ProviderOptions::Kind::offline) sum += provider.in_flight_max;
  }
  return std::max<std::size_t>(sum, 16);
}

std::unique_ptr<Provider> make_provider(const ProviderOptions& options, http::TransferLoop& loop) {
  if (options.kind == ProviderOptions::Kind::offline) {
    return std::make_unique<OfflineProvider>(loop, options);
  }
  return std::make_unique<OpenAiProvider>(loop, options);
}

double random_unit() {
  constexpr double kOneBy2To53 = 1.0 / 9007199254740992.0;
  return static_cast<double>(random_u64() >> 11) * kOneBy2To53;
}

}  // namespace

std::vector<std::shared_ptr<ProviderGate>> make_gates(const Options& options) {
  std::vector<std::shared_ptr<ProviderGate>> gates;
  for (const ProviderOptions& provider : providers_of(options)) {
    if (provider.kind == ProviderOptions::Kind::offline) {
      gates.push_back(nullptr);
      continue;
    }
    gates.push_back(std::make_shared<ProviderGate>(provider));
    // Said here because gates are made once for the node, providers once for each core.
    if (!provider.api_key.empty() && provider.base_url.starts_with("http://") &&
        !http::is_loopback_url(provider.base_url)) {
      log::warn("API key is sent unencrypted provider={} url={}", provider.name,
                log::value(provider.base_url));
    }
  }
  return gates;
}

std::vector<std::shared_ptr<ProviderMeter>> make_meters(const Options& options) {
  std::vector<std::shared_ptr<ProviderMeter>> meters(providers_of(options).size());
  for (auto& meter : meters) meter = std::make_shared<ProviderMeter>();
  return meters;
}

namespace {

std::optional<Cost> cost_of(const ProviderView& view, const std::optional<TokenPrices>& prices) {
  if (!prices) return std::nullopt;
  const double sum = static_cast<double>(view.tokens_in) * prices->input +
                     static_cast<double>(view.tokens_out) * prices->output;
  return Cost{sum / 1e6, prices->currency};
}

}  // namespace

std::vector<ProviderView> view_providers(
    const Options& options, const std::vector<std::shared_ptr<ProviderGate>>& gates,
    const std::vector<std::shared_ptr<ProviderMeter>>& meters) {
  using Breaker = ProviderView::Breaker;
  std::vector<ProviderView> views;
  const std::size_t in_order = providers_in_order(options).size();
  for (const ProviderOptions& provider : providers_of(options)) {
    const std::size_t i = views.size();
    ProviderView& view = views.emplace_back();
    view.name = provider.name;
    view.offline = provider.kind == ProviderOptions::Kind::offline;
    view.named = i >= in_order;
    meters[i]->read(view);
    view.cost = cost_of(view, provider.prices);
    if (gates[i] == nullptr) continue;
    view.model = provider.model;
    view.in_flight_max = provider.in_flight_max;
    view.queue_max = provider.queue_max;
    const ProviderGate::Reading reading = gates[i]->read();
    view.waiting = reading.waiting;
    view.open_for = reading.open_for;
    view.breaker = reading.state == ProviderGate::State::closed ? Breaker::closed
                   : reading.state == ProviderGate::State::open ? Breaker::open
                                                                : Breaker::half_open;
  }
  return views;
}

class ModelDispatcher::Impl {
 public:
  Impl(boost::asio::io_context& io, const Options& options,
       std::vector<std::shared_ptr<ProviderGate>> gates, DispatcherSeams seams,
       std::vector<std::shared_ptr<ProviderMeter>> meters);
  ~Impl() { calls_.clear(); }

  void start(CallId id, std::shared_ptr<const ModelRequest> request, ModelSink& sink);
  void cancel(CallId id) { calls_.erase(id); }

 private:
  class Call;

  struct Upstream {
    ProviderOptions options;
    std::shared_ptr<ProviderGate> gate;    // Null: no limit.
    std::shared_ptr<ProviderMeter> meter;  // Null: not metered.
    std::unique_ptr<Provider> provider;
  };

  /// Those that a call may use, by their place in `upstreams_`: [first, last).
  struct Range {
    std::size_t first = 0;
    std::size_t last = 0;
  };

  /// Empty when `name` is that of no named provider.
  Range range_of(std::string_view name) const;

  /// Ends the call and returns it, so that its sink is called last of all.
  std::unique_ptr<Call> release(CallId id);

  DispatcherSeams seams_;
  http::TransferLoop loop_;
  std::vector<Upstream> upstreams_;
  const std::size_t in_order_;  // Of those, the first so many; the others have to be named.
  std::unordered_map<CallId, std::unique_ptr<Call>> calls_;
};

/// One call on its way through tries and providers. Destroying it cancels whatever it waits for.
class ModelDispatcher::Impl::Call final : public ModelSink {
 public:
  Call(Impl& dispatcher, CallId id, std::shared_ptr<const ModelRequest> request, ModelSink& sink)
      : dispatcher_(dispatcher),
        id_(id),
        request_(std::move(request)),
        sink_(sink),
        started_(std::chrono::steady_clock::now()) {}
  ~Call() override {
    stop_waiting();
    if (!running_) return;
    const ModelUsage used = upstream().provider->cancel(id_);
    if (upstream().meter) upstream().meter->cancelled(used);
    count(used);
  }

  void begin() {
    const Range range = dispatcher_.range_of(request_->provider);
    if (range.first == range.last) {
      give_up({Errc::failed_precondition,
               fmt::format("no provider is called {}", request_->provider), false, std::nullopt});
      return;
    }
    at_ = range.first;
    last_ = range.last;
    enter();
  }

  /// Asks for a place at the current provider and begins when it has one.
  void enter() {
    timer_ = 0;
    const auto& gate = upstream().gate;
    if (gate == nullptr) {
      run();
      return;
    }
    auto entry = gate->enter([loop = &dispatcher_.loop_, &dispatcher = dispatcher_, id = id_] {
      // The ticket is looked at there: this call may be gone by then, or wait for another one.
      loop->post([&dispatcher, id] {
        const auto found = dispatcher.calls_.find(id);
        if (found != dispatcher.calls_.end()) found->second->place_answered();
      });
    });
    if (!entry) {
      refused(entry.error());
      return;
    }
    if (entry->permit) {
      permit_ = std::move(entry->permit);
      run();
      return;
    }
    ticket_ = entry->ticket;
    timer_ =
        dispatcher_.loop_.schedule(upstream().options.queue_timeout, [this] { queue_timed_out(); });
  }

  void on_text(CallId call, std::string_view text) override {
    if (!answering_) {
      answering_ = true;
      const SteadyTime now = std::chrono::steady_clock::now();
      const std::chrono::duration<double> waited = now - started_;
      metrics::get().model_first_token_seconds.observe(waited.count());
      if (upstream().meter) upstream().meter->wrote_first(now - try_started_);
    }
    sink_.on_text(call, text);
  }

  void on_finished(CallId call, ModelAnswer answer) override {
    running_ = false;
    if (upstream().meter) {
      upstream().meter->answered(std::chrono::steady_clock::now() - try_started_, answer.usage);
    }
    permit_.end(ProviderGate::Outcome::served);
    count(answer.usage);
    const std::unique_ptr<Call> self = dispatcher_.release(call);
    sink_.on_finished(call, std::move(answer));
  }

  void on_failed(CallId /*call*/, ModelFailure failure) override {
    running_ = false;
    if (upstream().meter) upstream().meter->failed(failure.usage);
    count(failure.usage);
    // A request that is refused for its own sake says that the provider works.
    permit_.end(failure.retryable ? ProviderGate::Outcome::failed : ProviderGate::Outcome::served);
    if (answering_) {
      give_up(std::move(failure));
      return;
    }
    const auto delay =
        retry_delay(upstream().options, failure, tries_, dispatcher_.seams_.jitter());
    if (!delay) {
      fall_back(std::move(failure));
      return;
    }
    metrics::get().model_retries.add();
    log::debug("model call is tried again provider={} try={} in_ms={} detail={}",
               upstream().options.name, tries_ + 1, delay->count(), log::value(failure.detail));
    timer_ = dispatcher_.loop_.schedule(*delay, [this] { enter(); });
  }

 private:
  Upstream& upstream() { return dispatcher_.upstreams_[at_]; }

  static void count(const ModelUsage& used) {
    metrics::get().model_tokens_in.add(static_cast<double>(used.tokens_in));
    metrics::get().model_tokens_out.add(static_cast<double>(used.tokens_out));
  }

  void run() {
    ++tries_;
    running_ = true;
    try_started_ = std::chrono::steady_clock::now();
    if (upstream().meter) upstream().meter->begun();
    upstream().provider->start(id_, request_, *this);
  }

  void place_answered() {
    if (ticket_ == 0) return;
    auto permit = upstream().gate->claim(ticket_);
    // Still waiting: the post was about an earlier ticket.
    if (!permit && permit.error().code == Errc::cancelled) return;
    ticket_ = 0;
    stop_waiting();
    if (!permit) {
      refused(permit.error());
      return;
    }
    permit_ = std::move(*permit);
    run();
  }

  void queue_timed_out() {
    timer_ = 0;
    stop_waiting();
    refused({Errc::resource_exhausted,
             fmt::format("provider {} had no place within {} ms", upstream().options.name,
                         upstream().options.queue_timeout.count())});
  }

  void refused(const Error& error) {
    ModelFailure failure{error.code, error.detail, true, std::nullopt};
    if (const auto left = upstream().gate->open_for(); left.count() > 0) failure.retry_after = left;
    fall_back(std::move(failure));
  }

  void fall_back(ModelFailure failure) {
    if (at_ + 1 == last_) {
      give_up(std::move(failure));
      return;
    }
    log::warn("model call falls back from={} to={} detail={}", upstream().options.name,
              dispatcher_.upstreams_[at_ + 1].options.name, log::value(failure.detail));
    metrics::get().model_fallbacks.add();
    ++at_;
    tries_ = 0;
    enter();
  }

  void give_up(ModelFailure failure) {
    metrics::get().model_failures.add();
    log::warn("model call failed provider={} tries={} detail={}",
              last_ == 0 ? log::value(request_->provider) : upstream().options.name, tries_,
              log::value(failure.detail));
    const CallId id = id_;
    const std::unique_ptr<Call> self = dispatcher_.release(id);
    sink_.on_failed(id, std::move(failure));
  }

  void stop_waiting() {
    if (ticket_ != 0) upstream().gate->abandon(std::exchange(ticket_, 0));
    if (timer_ != 0) dispatcher_.loop_.cancel_timer(std::exchange(timer_, 0));
  }

  Impl& dispatcher_;
  const CallId id_;
  const std::shared_ptr<const ModelRequest> request_;
  ModelSink& sink_;
  const SteadyTime started_;
  SteadyTime try_started_{};
  std::size_t at_ = 0;       // The provider it is with.
  std::size_t last_ = 0;     // Behind the last one it may go to; 0 before it is known.
  int tries_ = 0;            // Begun there.
  http::TimerId timer_ = 0;  // Backoff, or the time limit of the queue.
  ProviderGate::Ticket ticket_ = 0;
  ProviderGate::Permit permit_;
  bool running_ = false;
  bool answering_ = false;
};

ModelDispatcher::Impl::Impl(boost::asio::io_context& io, const Options& options,
                            std::vector<std::shared_ptr<ProviderGate>> gates, DispatcherSeams seams,
                            std::vector<std::shared_ptr<ProviderMeter>> meters)
    : seams_(std::move(seams)),
      loop_(io, connections_max(options)),
      in_order_(providers_in_order(options).size()) {
  if (!seams_.make_provider) seams_.make_provider = &make_provider;
  if (!seams_.jitter) seams_.jitter = &random_unit;
  const std::vector<ProviderOptions> providers = providers_of(options);
  CHECK(gates.size() == providers.size());
  CHECK(meters.empty() || meters.size() == providers.size());
  for (std::size_t i = 0; i < providers.size(); ++i) {
    Upstream& upstream = upstreams_.emplace_back();
    upstream.options = providers[i];
    upstream.gate = std::move(gates[i]);
    if (!meters.empty()) upstream.meter = std::move(meters[i]);
    upstream.provider = seams_.make_provider(providers[i], loop_);
  }
}

void ModelDispatcher::Impl::start(CallId id, std::shared_ptr<const ModelRequest> request,
                                  ModelSink& sink) {
  CHECK(!calls_.contains(id));
  metrics::get().model_calls.add();
  auto call = std::make_unique<Call>(*this, id, std::move(request), sink);
  calls_.emplace(id, std::move(call));
  // A refusal would otherwise reach the sink from inside this function.
  loop_.post([this, id] {
    const auto found = calls_.find(id);
    if (found != calls_.end()) found->second->begin();
  });
}

ModelDispatcher::Impl::Range ModelDispatcher::Impl::range_of(std::string_view name) const {
  if (name.empty()) return {0, in_order_};
  for (std::size_t i = in_order_; i < upstreams_.size(); ++i) {
    if (upstreams_[i].options.name == name) return {i, i + 1};
  }
  return {};
}

std::unique_ptr<ModelDispatcher::Impl::Call> ModelDispatcher::Impl::release(CallId id) {
  const auto found = calls_.find(id);
  CHECK(found != calls_.end());
  auto released = std::move(found->second);
  calls_.erase(found);
  return released;
}

ModelDispatcher::ModelDispatcher(boost::asio::io_context& io, const Options& options,
                                 std::vector<std::shared_ptr<ProviderGate>> gates,
                                 DispatcherSeams seams,
                                 std::vector<std::shared_ptr<ProviderMeter>> meters)
    : impl_(std::make_unique<Impl>(io, options, std::move(gates), std::move(seams),
                                   std::move(meters))) {}

ModelDispatcher::~ModelDispatcher() = default;

void ModelDispatcher::start(CallId call, std::shared_ptr<const ModelRequest> request,
                            ModelSink& sink) {
  impl_->start(call, std::move(request), sink);
}

void ModelDispatcher::cancel(CallId call) {
  impl_->cancel(call);
}

}  // namespace parlance::llm
