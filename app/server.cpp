#include "app/server.h"

#include <utility>

#include "actors/actor_tree.h"
#include "auth/access_token.h"
#include "auth/key_file.h"
#include "base/log.h"
#include "net/front_end.h"
#include "storage/audio_files.h"
#include "storage/store.h"

namespace parlance::app {

class Server::Impl {
 public:
  explicit Impl(const config::Settings& settings) : settings_(settings) {}
  ~Impl() { stop(); }

  Status start();
  void stop();

  std::vector<std::string> addresses_;

 private:
  const config::Settings settings_;
  // Destroyed in reverse: the front end's sockets before the tree's loops, the store last.
  std::unique_ptr<storage::Store> store_;
  std::unique_ptr<storage::AudioFiles> audio_;
  std::unique_ptr<actors::ActorTree> tree_;
  std::unique_ptr<net::FrontEnd> front_end_;
  bool running_ = false;
};

namespace {

/// Signed with a key of the data directory, so that they outlive a restart.
Result<std::shared_ptr<const auth::AccessTokens>> make_access_tokens(auth::Options options,
                                                                     const std::string& directory) {
  if (options.secret_key.empty()) {
    Result<std::string> key = auth::read_or_make_key(directory);
    if (!key) return key.error();
    options.secret_key = std::move(*key);
  }
  return std::make_shared<const auth::AccessTokens>(std::move(options));
}

}  // namespace

Status Server::Impl::start() {
  auto store = storage::Store::open(settings_.storage, storage::OldLayout::migrate);
  if (!store) return store.error();
  store_ = std::move(*store);
  const std::string recordings = settings_.storage.directory + "/audio";
  auto audio = storage::AudioFiles::open(recordings);
  if (!audio) return audio.error();
  audio_ = std::move(*audio);
  auto access_tokens = make_access_tokens(settings_.auth, settings_.storage.directory);
  if (!access_tokens) return access_tokens.error();
  tree_ = std::make_unique<actors::ActorTree>(actors::TreeOptions{settings_.sessions,
                                                                  settings_.agent,
                                                                  settings_.models,
                                                                  settings_.stack,
                                                                  settings_.documents,
                                                                  {},
                                                                  settings_.speech,
                                                                  settings_.offline_speech},
                                              *store_, *audio_);

  std::vector<net::CoreBinding> bindings;
  for (std::size_t core = 0; core < tree_->cores(); ++core) {
    bindings.push_back({&tree_->io(core), nullptr});
  }
  net::Options net_options = settings_.net;
  net_options.spool_directory = recordings;
  front_end_ = std::make_unique<net::FrontEnd>(std::move(net_options), std::move(*access_tokens),
                                               std::move(bindings));
  std::vector<actors::EventSink*> sinks;
  for (std::size_t core = 0; core < tree_->cores(); ++core) {
    sinks.push_back(&front_end_->sink(core));
  }
  tree_->start(sinks);
  running_ = true;
  for (std::size_t core = 0; core < tree_->cores(); ++core) {
    front_end_->set_gateway(core, tree_->gateway(core));
  }
  auto addresses = front_end_->start();
  if (!addresses) return addresses.error();
  addresses_ = std::move(*addresses);

  const auto recovered = tree_->recover();
  if (!recovered) return recovered.error();
  log::info("started version={} environment={} cores={} data={} unfinished_sessions={}",
            settings_.net.version, settings_.net.environment, tree_->cores(),
            log::value(settings_.storage.directory), *recovered);
  return {};
}

void Server::Impl::stop() {
  if (!std::exchange(running_, false)) return;
  // Connections are still taken meanwhile: a load balancer asks /readyz on a new one.
  tree_->begin_stop();
  if (!tree_->wait_for_runs(settings_.drain_timeout)) {
    log::warn("runs are still in progress; they go on at the next start");
    tree_->end_runs_once();
  }
  front_end_->stop_accepting();
  constexpr std::chrono::seconds kCloseMax{5};
  const auto retry_after = std::chrono::ceil<std::chrono::seconds>(settings_.retry_after);
  const std::size_t left = front_end_->close_all(retry_after, kCloseMax);
  if (left > 0) log::warn("connections were cut connections={}", left);
  tree_->stop();
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() = default;

Result<std::unique_ptr<Server>> Server::start(const config::Settings& settings) {
  auto impl = std::make_unique<Impl>(settings);
  if (auto started = impl->start(); !started) return started.error();
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

const std::vector<std::string>& Server::addresses() const {
  return impl_->addresses_;
}

void Server::stop() {
  impl_->stop();
}

}  // namespace parlance::app
