#include "net/core.h"

#include <algorithm>
#include <utility>

#include <boost/asio/post.hpp>

#include "base/log.h"
#include "base/metrics.h"
#include "net/console_feed.h"
#include "net/console_stream.h"
#include "net/http_connection.h"
#include "net/stream_socket.h"

namespace parlance::net {

namespace asio = boost::asio;

Shared::Shared(Options given, std::shared_ptr<const auth::AccessTokens> tokens)
    : options(std::move(given)),
      authentication(options),
      access_tokens(std::move(tokens)),
      limits(options.connections_max, options.connections_per_address_max),
      console(std::make_shared<ConsoleFeed>(*this)) {}

Core::Core(asio::io_context& io, std::shared_ptr<Shared> shared, std::size_t index)
    : io_(io), shared_(std::move(shared)), index_(index), fanout_(shared_->options) {}

Core::~Core() {
  for (Slot& slot : slots_) {
    if (slot.socket) fanout_.detach(*slot.socket);
  }
  for (const auto& [name, relay] : relays_) fanout_.detach(*relay);
}

void Core::set_gateway(actors::SessionGateway* gateway) {
  gateway_ = gateway;
  fanout_.set_gateway(gateway);
}

void Core::start() {
  buffer_ = std::make_unique<char[]>(kBufferBytes);
  readiness_ = std::make_unique<ReadinessSet>(io_);
  readiness_->start(shared_from_this());
  timer_ = std::make_unique<Timer>(io_);
  sweep();
  if (index_ == 0 && shared_->authentication.has_console()) shared_->console->start();
}

Tick Core::ticks(std::chrono::milliseconds time) const noexcept {
  const std::int64_t interval = options().sweep_interval.count();
  return static_cast<Tick>(std::max<std::int64_t>(1, (time.count() + interval - 1) / interval));
}

// ---- Long-lived sockets ----

bool Core::adopt(std::unique_ptr<StreamSocket> socket) {
  if (free_slots_.empty()) {
    free_slots_.push_back(static_cast<std::uint32_t>(slots_.size()));
    slots_.emplace_back();
  }
  StreamSocket& adopted = *socket;
  adopted.slot_ = free_slots_.back();
  free_slots_.pop_back();
  slots_[adopted.slot_].socket = std::move(socket);
  ++count_of(adopted);
  if (!stopped_ && readiness_->add(adopted.fd(), adopted)) return true;
  retire(adopted);
  return false;
}

void Core::retire(StreamSocket& socket) {
  if (socket.retired_) return;
  socket.retired_ = true;
  --count_of(socket);
  fanout_.detach(socket);
  if (readiness_) readiness_->remove(socket.fd(), socket);
  socket.fd_.reset();
  socket.permit_.release();
  Slot& slot = slots_[socket.slot_];
  ++slot.generation;
  retired_.push_back(std::move(slot.socket));
  free_slots_.push_back(socket.slot_);
  flush_later(socket);
}

StreamSocket* SocketRef::get() const noexcept {
  const Core::Slot& slot = core_->slots_[slot_];
  return slot.generation == generation_ ? slot.socket.get() : nullptr;
}

SocketRef Core::ref(const StreamSocket& socket) noexcept {
  SocketRef ref;
  ref.core_ = this;
  ref.slot_ = socket.slot_;
  ref.generation_ = slots_[socket.slot_].generation;
  return ref;
}

void Core::add_relay(std::uint64_t name, std::unique_ptr<Subscriber> relay, SessionId session,
                     const AttachOptions& options) {
  Subscriber& added = *relay;
  relays_.emplace(name, std::move(relay));
  fanout_.attach(added, std::move(session), options);
}

void Core::remove_relay(std::uint64_t name) {
  const auto relay = relays_.find(name);
  if (relay == relays_.end()) return;
  fanout_.detach(*relay->second);
  relays_.erase(relay);
}

// ---- The operator's console ----

std::size_t& Core::count_of(const StreamSocket& socket) {
  switch (socket.kind()) {
    case SocketKind::chat_socket:
      return sockets_.chat_sockets;
    case SocketKind::chat_stream:
      return sockets_.chat_streams;
    case SocketKind::message_stream:
      return sockets_.message_streams;
    case SocketKind::client_socket:
      return sockets_.client_sockets;
    case SocketKind::console:
      break;
  }
  return sockets_.consoles;
}

void Core::tell_consoles(const Frame& state) {
  for (ConsoleStream* const console : consoles_) console->tell(state);
}

dialects::console::Connections Core::connections() const {
  dialects::console::Connections open = sockets_;
  open.http = http_.size();
  return open;
}

void Core::give_up(StreamSocket& socket, const std::exception& error) {
  log::warn("connection failed reason={}", log::value(error.what()));
  retire(socket);
}

void Core::flush_later(StreamSocket& socket) {
  if (socket.dirty_) return;
  socket.dirty_ = true;
  dirty_.push_back(&socket);
  if (flush_posted_) return;
  flush_posted_ = true;
  asio::post(io_, [self = shared_from_this()] { self->flush(); });
}

void Core::flush() {
  flush_posted_ = false;
  const std::vector<StreamSocket*> dirty = std::exchange(dirty_, {});
  for (StreamSocket* socket : dirty) {
    socket->dirty_ = false;
    guard(*socket, [&] { socket->flush(); });
  }
  // One that asked again is looked at in the next turn and dies then.
  std::erase_if(retired_, [](const auto& socket) { return !socket->dirty_; });
}

void Core::schedule(StreamSocket& socket, Tick tick) {
  if (socket.retired_ || (socket.due_ != 0 && socket.due_ <= tick)) return;
  socket.due_ = wheel_.add(tick, {socket.slot_, slots_[socket.slot_].generation});
}

void Core::sweep() {
  timer_->expires_after(options().sweep_interval);
  timer_->async_wait([self = shared_from_this()](boost::system::error_code error) {
    if (error || self->stopped_) return;
    self->wheel_.advance([&](const Due& due) {
      Slot& slot = self->slots_[due.slot];
      if (slot.generation != due.generation || !slot.socket) return;
      if (slot.socket->due_ != self->wheel_.now()) return;  // Asked for another time since.
      slot.socket->due_ = 0;
      StreamSocket& socket = *slot.socket;
      self->guard(socket, [&] { socket.on_due(); });
    });
    for (HttpConnection* connection : self->http_) connection->on_sweep();
    self->publish_counts();
    self->sweep();
  });
}

void Core::publish_counts() {
  metrics::Metrics& metrics = metrics::get();
  const Counts published = std::exchange(counts, {});
  if (published.frames_received > 0) {
    metrics.frames_received.add(static_cast<double>(published.frames_received));
  }
  if (published.frames_sent > 0) {
    metrics.frames_sent.add(static_cast<double>(published.frames_sent));
  }
  if (published.bytes_sent > 0) {
    metrics.bytes_sent.add(static_cast<double>(published.bytes_sent));
  }
}

// ---- The end ----

void Core::drain(std::chrono::seconds retry_after) {
  draining_ = true;
  retry_after_ = retry_after;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    if (!slots_[i].socket) continue;
    slots_[i].socket->end(retry_after);
    schedule(*slots_[i].socket, now() + 1);  // One that was closing already waits less now.
  }
  for (HttpConnection* connection : http_) connection->drain();
}

void Core::stop() {
  if (stopped_) return;
  stopped_ = true;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i].socket) retire(*slots_[i].socket);
  }
  for (HttpConnection* connection : http_) connection->abort();
  publish_counts();
  if (index_ == 0) shared_->console->stop();
  if (!readiness_) return;
  readiness_->stop();
  timer_->cancel();
  // After the handlers that are queued already, which still look at them.
  asio::post(io_, [self = shared_from_this()] {
    self->readiness_.reset();
    self->timer_.reset();
  });
}

}  // namespace parlance::net
