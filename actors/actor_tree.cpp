#include "actors/actor_tree.h"

#include <condition_variable>
#include <mutex>
#include <thread>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/scoped_actor.hpp>
#include <sched.h>

#include "actors/core_gateway.h"
#include "actors/core_scheduler.h"
#include "actors/document_intake.h"
#include "actors/history_reader_actor.h"
#include "actors/llm_proxy_actor.h"
#include "actors/persistence_actor.h"
#include "actors/retrieval_loop.h"
#include "actors/speech_loop.h"
#include "actors/tool_runner_actor.h"
#include "actors/worker_actor.h"
#include "agent/builtin_tools.h"
#include "base/log.h"
#include "base/metrics.h"

namespace parlance::actors {
namespace {

constexpr std::chrono::milliseconds kSweepInterval{50};

std::size_t core_count(const Options& options) {
  if (options.cores != 0) return options.cores;
  cpu_set_t allowed;  // Of a container or by taskset; fewer than the machine has.
  if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) {
    return static_cast<std::size_t>(std::max(1, CPU_COUNT(&allowed)));
  }
  return std::max(1U, std::thread::hardware_concurrency());
}

}  // namespace

class ActorTree::Impl {
 public:
  Impl(const TreeOptions& options, storage::Store& store, const storage::AudioFiles& audio)
      : options_(options),
        store_(store),
        audio_(audio),
        toolbox_(agent::make_builtin_tools(
            [&store](const SessionId& session) { return recent_events(store, session); })) {
    for (std::size_t i = 0; i < core_count(options.sessions); ++i) {
      loops_.push_back(std::make_unique<boost::asio::io_context>(1));
    }
    CoreScheduler::install(config_, loops_, scheduler_);
    config_.set("scheduler.max-threads", core_count(options.sessions));
    system_ = std::make_unique<caf::actor_system>(config_);
  }

  void start(const std::vector<EventSink*>& sinks);
  void start_documents();
  void scrub(const std::vector<SessionId>& sessions);
  void expire_sessions();
  void sweep_audio();
  Result<std::size_t> recover();
  bool wait_for_runs(std::chrono::milliseconds limit);
  /// Runs `work` on every core and waits for all.
  void on_every_core(const std::function<void(std::size_t core)>& work);
  void stop();

  CoreScheduler::Loops loops_;
  caf::actor_system_config config_;
  CoreScheduler* scheduler_ = nullptr;
  const TreeOptions options_;
  storage::Store& store_;
  const storage::AudioFiles& audio_;
  agent::Toolbox toolbox_;
  NodeState node_;
  std::unique_ptr<caf::actor_system> system_;
  PersistenceHandle persistence_;
  std::vector<HistoryReaderHandle> readers_;
  std::vector<ToolRunnerHandle> tool_runners_;
  std::unique_ptr<RetrievalLoop> retrieval_;
  std::unique_ptr<SpeechLoop> speech_;
  std::unique_ptr<DocumentIntake> intake_;
  std::unique_ptr<WorkerPool> intake_workers_;
  std::unique_ptr<WorkerPool> workers_;
  std::vector<std::unique_ptr<CoreServices>> services_;
  std::vector<std::unique_ptr<CoreGateway>> gateways_;
  std::vector<CoreGateway*> all_;

 private:
  static Result<std::vector<RecordedEvent>> recent_events(const storage::Store& store,
                                                          const SessionId& session);
  std::size_t sum_over_cores(std::size_t (CoreGateway::*number)() const noexcept);
};

Result<std::vector<RecordedEvent>> ActorTree::Impl::recent_events(const storage::Store& store,
                                                                  const SessionId& session) {
  if (session.text.empty()) return std::vector<RecordedEvent>{};
  ReadEvents range;
  range.from_end = true;
  range.events_max = 5'000;
  range.bytes_max = 4 << 20;
  auto page = store.read(session, range);
  if (!page) return page.error();
  return std::move(page->events);
}

void ActorTree::Impl::start(const std::vector<EventSink*>& sinks) {
  const Options& options = options_.sessions;
  persistence_ = system_->spawn<PersistenceActor, caf::detached>(store_, options);
  for (std::size_t i = 0; i < options.readers; ++i) {
    readers_.push_back(
        system_->spawn<HistoryReaderActor, caf::detached>(store_, options.history_load_bytes_max));
  }
  for (std::size_t i = 0; i < options.tool_threads; ++i) {
    tool_runners_.push_back(system_->spawn<ToolRunnerActor, caf::detached>(
        toolbox_, options_.agent.tool_output_bytes_max));
  }
  start_documents();
  const auto gates = llm::make_gates(options_.models);
  const auto meters = llm::make_meters(options_.models);
  const std::function<std::vector<ProviderView>()> view_providers = [this, gates, meters] {
    return llm::view_providers(options_.models, gates, meters);
  };
  for (std::size_t core = 0; core < scheduler_->cores(); ++core) {
    auto proxy = system_->spawn<LlmProxyActor, caf::lazy_init>(scheduler_->worker(core), core,
                                                               options_.models, gates, meters);
    services_.push_back(std::make_unique<CoreServices>(CoreServices{
        core, options_.sessions, options_.agent, toolbox_, options_.stack, store_, *retrieval_,
        *speech_, *intake_, *intake_workers_, *workers_, *scheduler_, *sinks[core], persistence_,
        readers_, tool_runners_, std::move(proxy), view_providers}));
    gateways_.push_back(std::make_unique<CoreGateway>(*system_, *services_.back(), node_, all_));
  }
  for (const auto& gateway : gateways_) all_.push_back(gateway.get());
  for (std::size_t core = 0; core < all_.size(); ++core) {
    scheduler_->every(core, kSweepInterval,
                      [gateway = all_[core]] { gateway->sweep(std::chrono::steady_clock::now()); });
  }
}

void ActorTree::Impl::start_documents() {
  const Options& options = options_.sessions;
  workers_ = std::make_unique<WorkerPool>(*system_, options.workers, options.work_waiting_max);
  intake_workers_ =
      std::make_unique<WorkerPool>(*system_, options.intake_workers, options.work_waiting_max);
  retrieval_ = std::make_unique<RetrievalLoop>(RetrievalLoop::Surroundings{
      store_, options_.models, options_.documents,
      [this](const storage::BegunSet& begun) { caf::anon_send(persistence_, DropBegunSet{begun}); },
      [this](std::vector<SessionId> sessions) {
        return intake_workers_->run([this, sessions = std::move(sessions)] { scrub(sessions); });
      }});
  speech_ = std::make_unique<SpeechLoop>(SpeechLoop::Surroundings{
      audio_, options_.speech_provider, options_.offline_speech, options_.sessions, *workers_});
  intake_ = std::make_unique<DocumentIntake>(store_, *retrieval_, persistence_, options_.stack,
                                             options_.documents, options_.extraction);
}

/// Thread: an intake worker's.
void ActorTree::Impl::expire_sessions() {
  const WallTime now = wall_now();
  const auto expired =
      store_.temporary_clients({now.ms - options_.sessions.temporary_lifetime.count()});
  if (!expired) {
    log::warn("no session is closed for its age why={}", log::value(expired.error().detail));
    return;
  }
  for (const SessionId& session : *expired) {
    if (node_.stopping.load(std::memory_order_relaxed)) return;
    const std::size_t home = all_[0]->home_of(session);
    scheduler_->post(home, [gateway = all_[home], session] {
      gateway->change_lifecycle(session, LifecycleCommand::expire, [](const Status&) {});
    });
  }
}

/// Removes recordings that are too old, and those that a crash has left of deleted sessions.
/// Thread: an intake worker's.
void ActorTree::Impl::sweep_audio() {
  const auto is_there = [this](const SessionId& session) {
    const auto found = store_.platform_session(session);
    return found || found.error().code != Errc::not_found;
  };
  const Status swept = audio_.sweep(options_.sessions.audio_age_max, is_there, [this] {
    return !node_.stopping.load(std::memory_order_relaxed);
  });
  if (!swept) log::warn("recordings were left why={}", log::value(swept.error().detail));
}

/// What fails here, or is left because the node stops, is done after the next start.
void ActorTree::Impl::scrub(const std::vector<SessionId>& sessions) {
  const auto scrubbed =
      store_.scrub(sessions, [this] { return !node_.stopping.load(std::memory_order_relaxed); });
  if (!scrubbed) {
    log::warn("erased bytes stay in files until the next start why={}",
              log::value(scrubbed.error().detail));
    return;
  }
  for (std::size_t i = 0; i < *scrubbed; ++i) {
    caf::anon_send(persistence_, DropBegunSet{{sessions[i], storage::kErasedBytes}});
  }
}

Result<std::size_t> ActorTree::Impl::recover() {
  scheduler_->every(0, options_.sessions.expiry_interval,
                    [this] { intake_workers_->run([this] { expire_sessions(); }); });
  intake_workers_->run([this] { sweep_audio(); });
  scheduler_->every(0, options_.sessions.audio_sweep_interval,
                    [this] { intake_workers_->run([this] { sweep_audio(); }); });
  const auto begun = store_.begun_sets(nullptr);
  if (!begun) return begun.error();
  std::vector<SessionId> deleted;
  for (const storage::BegunSet& set : *begun) {
    if (set.set == storage::kErasedBytes) {
      retrieval_->scrub(set.session);
    } else if (set.set == storage::kDeletedSession) {
      deleted.push_back(set.session);
    } else {
      retrieval_->clean_up(set.session, set.set);
    }
  }
  scheduler_->post(
      0, [gateway = all_[0], deleted = std::move(deleted)] { gateway->erase_deleted(deleted); });
  const auto unfinished = store_.unfinished_sessions();
  if (!unfinished) return unfinished.error();
  for (const SessionId& session : *unfinished) {
    CoreGateway* home = all_[all_[0]->home_of(session)];
    scheduler_->post(all_[0]->home_of(session),
                     [home, session] { home->directory().recover(session); });
  }
  node_.recovered.store(true, std::memory_order_relaxed);
  return unfinished->size();
}

void ActorTree::Impl::on_every_core(const std::function<void(std::size_t core)>& work) {
  std::mutex mutex;
  std::condition_variable done;
  std::size_t left = scheduler_->cores();
  for (std::size_t core = 0; core < scheduler_->cores(); ++core) {
    scheduler_->post(core, [&, core] {
      work(core);
      const std::lock_guard lock(mutex);
      if (--left == 0) done.notify_one();
    });
  }
  std::unique_lock lock(mutex);
  done.wait(lock, [&] { return left == 0; });
}

std::size_t ActorTree::Impl::sum_over_cores(std::size_t (CoreGateway::*number)() const noexcept) {
  std::atomic<std::size_t> sum{0};
  on_every_core([&](std::size_t core) { sum += (*gateways_[core].*number)(); });
  return sum;
}

bool ActorTree::Impl::wait_for_runs(std::chrono::milliseconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  for (;;) {
    if (sum_over_cores(&CoreGateway::running) == 0) return true;
    const auto now = std::chrono::steady_clock::now();
    if (now >= deadline) return false;
    std::this_thread::sleep_for(std::min<std::chrono::steady_clock::duration>(
        std::chrono::milliseconds(20), deadline - now));
  }
}

void ActorTree::Impl::stop() {
  if (!system_) return;
  on_every_core([&](std::size_t core) { gateways_[core]->stop(); });
  // Those that were just ended use what is let go of below until they are gone.
  while (sum_over_cores(&CoreGateway::alive) != 0) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  // Workers may wait for it; they end after what they do now.
  retrieval_->stop();
  speech_->stop();
  workers_->stop();
  intake_workers_->stop();
  for (auto& services : services_) {
    caf::anon_send_exit(services->model_proxy, caf::exit_reason::user_shutdown);
    services->model_proxy = nullptr;
    services->persistence = nullptr;
    services->readers.clear();
    services->tool_runners.clear();
  }
  for (const auto& tools : tool_runners_) {
    caf::anon_send_exit(tools, caf::exit_reason::user_shutdown);
  }
  for (const auto& reader : readers_) caf::anon_send_exit(reader, caf::exit_reason::user_shutdown);
  caf::anon_send_exit(persistence_, caf::exit_reason::user_shutdown);
  tool_runners_.clear();
  readers_.clear();
  persistence_ = nullptr;
  // Waits for all actors, then ends the core threads.
  system_.reset();
}

ActorTree::ActorTree(const TreeOptions& options, storage::Store& store,
                     const storage::AudioFiles& audio)
    : impl_(std::make_unique<Impl>(options, store, audio)) {}

ActorTree::~ActorTree() {
  impl_->stop();
}

std::size_t ActorTree::cores() const noexcept {
  return impl_->scheduler_->cores();
}
boost::asio::io_context& ActorTree::io(std::size_t core) {
  return *impl_->loops_[core];
}
void ActorTree::start(const std::vector<EventSink*>& sinks) {
  impl_->start(sinks);
}
SessionGateway& ActorTree::gateway(std::size_t core) {
  return *impl_->all_[core];
}
Result<std::size_t> ActorTree::recover() {
  return impl_->recover();
}
void ActorTree::begin_stop() {
  impl_->node_.stopping.store(true, std::memory_order_relaxed);
}
bool ActorTree::wait_for_runs(std::chrono::milliseconds limit) {
  return impl_->wait_for_runs(limit);
}
void ActorTree::end_runs_once() {
  impl_->on_every_core([this](std::size_t core) { impl_->gateways_[core]->end_runs_once(); });
}
void ActorTree::stop() {
  impl_->stop();
}

}  // namespace parlance::actors
