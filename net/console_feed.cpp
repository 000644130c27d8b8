#include "net/console_feed.h"

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <limits>
#include <utility>

#include <boost/asio/post.hpp>
#include <sys/resource.h>
#include <unistd.h>

#include "actors/console_gateway.h"
#include "net/console_stream.h"
#include "net/core.h"

namespace parlance::net {
namespace {

namespace asio = boost::asio;
namespace console = dialects::console;

constexpr std::size_t kMinuteSteps = std::chrono::seconds(60) / ConsoleFeed::kStep;

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

/// Of memory that is in use; 0 where the system does not tell.
double resident_bytes() {
  long all = 0;
  long resident = 0;
  FILE* const file = std::fopen("/proc/self/statm", "re");
  if (file == nullptr) return 0;
  const int read = std::fscanf(file, "%ld %ld", &all, &resident);
  std::fclose(file);
  return read == 2 ? static_cast<double>(resident) * static_cast<double>(sysconf(_SC_PAGESIZE)) : 0;
}

/// Mean milliseconds of what was added to a sum; nothing when nothing was.
std::optional<double> mean_ms(std::chrono::microseconds sum, std::uint64_t count) {
  if (count == 0) return std::nullopt;
  return static_cast<double>(sum.count()) / 1e3 / static_cast<double>(count);
}

/// Leaves the first `count` in order.
template <class Row, class Before>
void keep_first(std::vector<Row>& rows, std::size_t count, Before before) {
  const std::size_t kept = std::min(rows.size(), count);
  std::partial_sort(rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(kept), rows.end(),
                    before);
  rows.resize(kept);
}

template <class Row>
void move_to(std::vector<Row>& rows, std::vector<Row>& more) {
  rows.insert(rows.end(), std::make_move_iterator(more.begin()),
              std::make_move_iterator(more.end()));
}

}  // namespace

ConsoleFeed::ConsoleFeed(Shared& shared) : shared_(shared) {
  ring_.reserve(kSteps);
}

Core& ConsoleFeed::first_core() {
  return *shared_.cores.front();
}

void ConsoleFeed::start() {
  timer_ = std::make_unique<Timer>(first_core().io());
  arm();
}

void ConsoleFeed::stop() {
  stopped_ = true;
  for (Waiting& waiting : std::exchange(waiting_, {})) reply_to(std::move(waiting), nullptr);
  if (!timer_) return;
  timer_->cancel();
  // After the handlers that are queued already, which still look at it.
  asio::post(first_core().io(), [self = shared_from_this()] { self->timer_.reset(); });
}

void ConsoleFeed::arm() {
  timer_->expires_after(kInterval);
  timer_->async_wait([self = shared_from_this()](boost::system::error_code error) {
    if (error || self->stopped_) return;
    self->on_tick();
    self->arm();
  });
}

void ConsoleFeed::on_tick() {
  if (ticks_++ % static_cast<std::uint64_t>(kStep / kInterval) == 0) {
    sample();
    read_storage();
  }
  if (readers_.taken() > 0) gather();
}

// ---- The last hour ----

ConsoleFeed::Counted ConsoleFeed::count() {
  const metrics::Metrics& m = metrics::get();
  return {.at = Clock::now(),
          .messages = m.messages_accepted.value(),
          .completed = m.runs_completed.value(),
          .failed = m.runs_failed.value(),
          .tokens_in = m.model_tokens_in.value(),
          .tokens_out = m.model_tokens_out.value(),
          .records = m.records_committed.value(),
          .bytes_sent = m.bytes_sent.value(),
          .requests = m.http_requests.value(),
          .cpu_seconds = cpu_seconds(),
          .first_token = m.model_first_token_seconds.read(),
          .sync = m.commit_seconds.read()};
}

void ConsoleFeed::sample() {
  const std::optional<Counted> before = std::exchange(counted_, count());
  providers_before_.push_back(first_core().gateway().console().providers());
  if (providers_before_.size() > kMinuteSteps) providers_before_.erase(providers_before_.begin());
  if (!before) return;  // Rates need two.
  const metrics::Metrics& m = metrics::get();
  const Counted& now = *counted_;
  const double seconds = std::chrono::duration<double>(now.at - before->at).count();
  const auto rate = [&](double Counted::*counter) {
    return (now.*counter - (*before).*counter) / seconds;
  };
  const auto quantile_ms = [&](metrics::HistogramReading Counted::*histogram, double share) {
    // Where nothing was measured there is no value, which is not zero.
    constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
    return 1e3 *
           metrics::quantile_between((*before).*histogram, now.*histogram, share).value_or(kNone);
  };
  const double store_bytes =
      storage_ ? static_cast<double>(storage_->file_bytes + storage_->log_bytes.value_or(0)) : 0;
  // In the order of kSeries.
  const double values[] = {m.runs_active.value(),
                           m.model_calls_in_flight.value(),
                           m.model_calls_queued.value(),
                           rate(&Counted::messages),
                           rate(&Counted::completed),
                           rate(&Counted::failed),
                           rate(&Counted::tokens_in),
                           rate(&Counted::tokens_out),
                           quantile_ms(&Counted::first_token, 0.5),
                           quantile_ms(&Counted::first_token, 0.95),
                           quantile_ms(&Counted::sync, 0.5),
                           quantile_ms(&Counted::sync, 0.95),
                           rate(&Counted::records),
                           m.connections_open.value(),
                           m.watchers.value(),
                           m.sessions_awake.value(),
                           rate(&Counted::bytes_sent),
                           rate(&Counted::requests),
                           100 * rate(&Counted::cpu_seconds),
                           resident_bytes(),
                           store_bytes};
  static_assert(std::size(values) == console::kSeries.size());
  console::Sample sample{.at = wall_now()};
  std::transform(std::begin(values), std::end(values), sample.values.begin(),
                 [](double value) { return static_cast<float>(value); });
  const MutexLock lock(mutex_);
  if (ring_.size() < kSteps) {
    ring_.push_back(sample);
  } else {
    ring_[oldest_] = sample;
    oldest_ = (oldest_ + 1) % kSteps;
  }
}

std::string ConsoleFeed::history_json() const {
  std::vector<console::Sample> samples;
  {
    const MutexLock lock(mutex_);
    samples.reserve(kSteps);
    const auto oldest = ring_.begin() + static_cast<std::ptrdiff_t>(oldest_);
    samples.insert(samples.end(), oldest, ring_.end());
    samples.insert(samples.end(), ring_.begin(), oldest);
  }
  return console::history_json(kStep, samples);
}

void ConsoleFeed::read_storage() {
  if (std::exchange(storage_asked_, true)) return;
  first_core().gateway().console().read_storage(
      [self = shared_from_this()](Result<StorageView> view) {
        self->storage_asked_ = false;
        if (view) self->storage_ = *view;
      });
}

// ---- What is now ----

void ConsoleFeed::reply_to(Waiting waiting, Json state) {
  asio::post(waiting.core->io(), [reply = std::move(waiting.reply), state = std::move(state)] {
    if (state) reply(state);
  });
}

void ConsoleFeed::read_state(Core& core, std::function<void(Json)> reply) {
  Waiting waiting{core.shared_from_this(), std::move(reply)};
  asio::post(
      first_core().io(), [self = shared_from_this(), waiting = std::move(waiting)]() mutable {
        const bool fresh = self->state_ != nullptr && Clock::now() - self->state_at_ < kInterval;
        if (self->stopped_) return reply_to(std::move(waiting), nullptr);
        if (fresh) return reply_to(std::move(waiting), self->state_);
        self->waiting_.push_back(std::move(waiting));
        self->gather();
      });
}

ConsoleFeed::CoreReading ConsoleFeed::read(Core& core) {
  CoreReading reading;
  reading.activity = core.gateway().console().activity(kRowsMax);
  for (RunView& run : reading.activity.oldest_runs) {
    run.watchers = core.fanout().watchers(run.session);
  }
  for (SessionView& session : reading.activity.last_used) {
    session.watchers = core.fanout().watchers(session.session);
  }
  reading.sessions_watched = core.fanout().sessions();
  reading.connections = core.connections();
  return reading;
}

void ConsoleFeed::gather() {
  if (cores_left_ > 0) return;
  cores_left_ = shared_.cores.size();
  gathered_ = {};
  for (Core* const each : shared_.cores) {
    asio::post(each->io(), [self = shared_from_this(), core = each->shared_from_this()] {
      if (core->stopped()) return;
      asio::post(self->first_core().io(),
                 [self, reading = read(*core)]() mutable { self->add(std::move(reading)); });
    });
  }
}

void ConsoleFeed::add(CoreReading reading) {
  CoreActivity& all = gathered_.activity;
  all.runs += reading.activity.runs;
  all.runs_once += reading.activity.runs_once;
  all.sessions_awake += reading.activity.sessions_awake;
  move_to(all.oldest_runs, reading.activity.oldest_runs);
  move_to(all.last_used, reading.activity.last_used);
  gathered_.sessions_watched += reading.sessions_watched;
  gathered_.connections += reading.connections;
  if (--cores_left_ == 0 && !stopped_) publish();
}

std::vector<console::Provider> ConsoleFeed::view_providers() {
  std::vector<console::Provider> providers;
  for (ProviderView& view : first_core().gateway().console().providers()) {
    const std::size_t i = providers.size();
    console::Provider& provider = providers.emplace_back();
    ProviderView before;
    if (!providers_before_.empty()) before = providers_before_.front().at(i);
    provider.first_text_ms = mean_ms(view.first_text_time - before.first_text_time,
                                     view.first_texts - before.first_texts);
    provider.answer_ms =
        mean_ms(view.answer_time - before.answer_time, view.answered - before.answered);
    provider.view = std::move(view);
  }
  return providers;
}

void ConsoleFeed::publish() {
  actors::SessionGateway& gateway = first_core().gateway();
  const Options& options = shared_.options;
  console::State& state = gathered_;
  state.at = wall_now();
  state.node = {.version = options.version,
                .environment = options.environment,
                .cores = shared_.cores.size(),
                .uptime = std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - started_),
                .ready = gateway.ready(),
                .stopping = gateway.stopping()};
  keep_first(state.activity.oldest_runs, kRowsMax,
             [](const RunView& a, const RunView& b) { return a.started.ms < b.started.ms; });
  keep_first(state.activity.last_used, kRowsMax,
             [](const SessionView& a, const SessionView& b) { return a.used.ms > b.used.ms; });
  state.providers = view_providers();
  state.storage = storage_;
  {
    const MutexLock lock(mutex_);
    if (!ring_.empty()) state.sample = ring_[(oldest_ + ring_.size() - 1) % ring_.size()];
  }
  state_ = std::make_shared<const std::string>(console::to_json(state));
  state_at_ = Clock::now();
  gathered_ = {};
  for (Waiting& waiting : std::exchange(waiting_, {})) reply_to(std::move(waiting), state_);
  if (readers_.taken() == 0) return;
  const Frame frame = state_frame(*state_);
  for (Core* const each : shared_.cores) {
    asio::post(each->io(),
               [core = each->shared_from_this(), frame] { core->tell_consoles(frame); });
  }
}

}  // namespace parlance::net
