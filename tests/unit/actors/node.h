// A node without sockets: a real store, the real actors, the offline provider, and a front end that
// writes down what it is told.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <catch2/catch.hpp>

#include "actors/actor_tree.h"
#include "actors/console_gateway.h"
#include "storage/store.h"

namespace parlance::test {

/// Far more than anything here takes; a wait that reaches it is a failure.
inline constexpr std::chrono::seconds kPatience{30};

/// Everything the sessions told, by session. Any thread.
class RecordingSink final : public actors::EventSink {
 public:
  void on_recorded(const SessionId& session, std::span<const RecordedEvent> events) override {
    const std::lock_guard lock(mutex_);
    auto& log = recorded_[session.text];
    log.insert(log.end(), events.begin(), events.end());
    changed_.notify_all();
  }
  void on_passing(const SessionId& session, const PassingEvent& event) override {
    const std::lock_guard lock(mutex_);
    passing_[session.text].push_back(event);
    changed_.notify_all();
  }

  std::vector<RecordedEvent> recorded(const std::string& session) {
    const std::lock_guard lock(mutex_);
    return recorded_[session];
  }
  std::vector<PassingEvent> passing(const std::string& session) {
    const std::lock_guard lock(mutex_);
    return passing_[session];
  }

  /// Waits until `condition(recorded, passing)` of `session` holds.
  template <class Condition>
  [[nodiscard]] bool wait(const std::string& session, Condition condition) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience,
                             [&] { return condition(recorded_[session], passing_[session]); });
  }

  /// Waits until `count` messages of `session` have ended.
  [[nodiscard]] bool wait_for_ends(const std::string& session, std::size_t count) {
    return wait(session, [&](const auto& recorded, const auto&) {
      std::size_t ends = 0;
      for (const RecordedEvent& event : recorded) ends += is_terminal(event.event) ? 1 : 0;
      return ends >= count;
    });
  }
  /// Waits until the model has written `count` deltas in `session`.
  [[nodiscard]] bool wait_for_deltas(const std::string& session, std::size_t count) {
    return wait(session, [&](const auto&, const auto& passing) {
      std::size_t deltas = 0;
      for (const PassingEvent& event : passing) {
        deltas += std::holds_alternative<TextDelta>(event) ? 1 : 0;
      }
      return deltas >= count;
    });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, std::vector<RecordedEvent>> recorded_;
  std::map<std::string, std::vector<PassingEvent>> passing_;
};

/// A reply that has not come yet.
template <class T>
class Waiting {
 public:
  Waiting() : promise_(std::make_shared<std::promise<T>>()), future_(promise_->get_future()) {}

  void set(T value) const { promise_->set_value(std::move(value)); }
  bool came() const {
    return future_.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  }
  T get() const {
    if (future_.wait_for(kPatience) != std::future_status::ready) FAIL("no reply came");
    return future_.get();
  }

 private:
  std::shared_ptr<std::promise<T>> promise_;
  std::shared_future<T> future_;
};

/// Fast and small, on two cores.
inline actors::TreeOptions quick(std::chrono::milliseconds token_delay = {}) {
  actors::TreeOptions options;
  options.sessions.cores = 2;
  llm::ProviderOptions offline;
  offline.offline_token_delay = token_delay;
  options.models.providers.push_back(offline);
  return options;
}

class Node {
 public:
  /// Opens the store in `directory`, which a node before it may have left.
  explicit Node(const std::string& directory, const actors::TreeOptions& options = quick())
      : store_(open(directory)),
        audio_(open_audio(directory)),
        tree_(std::make_unique<actors::ActorTree>(options, *store_, *audio_)) {
    tree_->start(std::vector<actors::EventSink*>(tree_->cores(), &sink));
  }
  ~Node() { stop(); }

  RecordingSink sink;

  storage::Store& store() { return *store_; }
  actors::ActorTree& tree() { return *tree_; }

  /// Ends everything at once, in the middle of what it does: what a crash leaves is on the disk.
  void stop() {
    if (tree_) tree_->stop();
    tree_.reset();
    audio_.reset();
    store_.reset();
  }

  std::size_t home_of(const std::string& session) { return tree_->gateway(0).home_of({session}); }

  /// Runs `work(gateway)` on a core, as a connection of that core would.
  template <class Work>
  void on_core(std::size_t core, Work work) {
    boost::asio::post(tree_->io(core), [this, core, work] { work(tree_->gateway(core)); });
  }

  Waiting<Result<SubmitAccepted>> submit(const std::string& session, const SubmitMessage& command,
                                         std::optional<std::size_t> core = {}) {
    Waiting<Result<SubmitAccepted>> reply;
    on_core(core.value_or(home_of(session)), [=](actors::SessionGateway& gateway) {
      gateway.submit({session}, command, [reply](auto result) { reply.set(std::move(result)); });
    });
    return reply;
  }
  Waiting<Result<SubmitAccepted>> submit(const std::string& session, const std::string& id,
                                         const std::string& text, OnBusy on_busy = OnBusy::queue) {
    return submit(session, SubmitMessage{{id}, text, on_busy, {}});
  }

  Waiting<Status> cancel(const std::string& session, const std::optional<MessageId>& id = {},
                         std::optional<std::size_t> core = {}) {
    Waiting<Status> reply;
    on_core(core.value_or(home_of(session)), [=](actors::SessionGateway& gateway) {
      gateway.cancel({session}, {id}, [reply](auto status) { reply.set(std::move(status)); });
    });
    return reply;
  }

  Waiting<std::string> ping(const std::string& session, const std::string& data,
                            std::optional<std::size_t> core = {}) {
    Waiting<std::string> reply;
    on_core(core.value_or(home_of(session)), [=](actors::SessionGateway& gateway) {
      gateway.ping({session}, data, [reply](const Status& status, std::string same) {
        reply.set(status ? std::move(same) : "error: " + status.error().detail);
      });
    });
    return reply;
  }

  Waiting<std::optional<TextSnapshot>> snapshot(const std::string& session,
                                                std::optional<std::size_t> core = {}) {
    Waiting<std::optional<TextSnapshot>> reply;
    on_core(core.value_or(home_of(session)), [=](actors::SessionGateway& gateway) {
      gateway.snapshot({session}, [reply](auto found) { reply.set(std::move(found)); });
    });
    return reply;
  }

  /// What the console sees of the core of `session`.
  CoreActivity activity(const std::string& session, std::size_t rows_max = 100) {
    Waiting<CoreActivity> reply;
    on_core(home_of(session), [=](actors::SessionGateway& gateway) {
      reply.set(gateway.console().activity(rows_max));
    });
    return reply.get();
  }

  Waiting<Result<EventPage>> read(const std::string& session, const ReadEvents& range = {},
                                  std::size_t core = 0) {
    Waiting<Result<EventPage>> reply;
    on_core(core, [=](actors::SessionGateway& gateway) {
      gateway.read({session}, range, [reply](auto page) { reply.set(std::move(page)); });
    });
    return reply;
  }

  Waiting<Result<std::vector<actors::RunOnceStep>>> run_once(const std::string& task,
                                                             std::size_t core = 0) {
    Waiting<Result<std::vector<actors::RunOnceStep>>> reply;
    on_core(core, [=](actors::SessionGateway& gateway) {
      gateway.run_once(task, [reply](auto steps) { reply.set(std::move(steps)); });
    });
    return reply;
  }

 private:
  static std::unique_ptr<storage::Store> open(const std::string& directory) {
    storage::Options options;
    options.directory = directory;
    options.write_buffer_bytes = 1 << 20;
    options.block_cache_bytes = 1 << 20;
    auto store = storage::Store::open(options);
    if (!store) FAIL(store.error().detail);
    return std::move(*store);
  }

  static std::unique_ptr<storage::AudioFiles> open_audio(const std::string& directory) {
    auto audio = storage::AudioFiles::open(directory + "/audio");
    if (!audio) FAIL(audio.error().detail);
    return std::move(*audio);
  }

  std::unique_ptr<storage::Store> store_;
  std::unique_ptr<storage::AudioFiles> audio_;
  std::unique_ptr<actors::ActorTree> tree_;
};

}  // namespace parlance::test
