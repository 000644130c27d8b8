#include "http/transfer_loop.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <optional>
#include <unordered_map>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <curl/curl.h>
#include <sys/epoll.h>

#include "base/check.h"
#include "base/clock.h"
#include "http/multipart_body.h"

namespace parlance::http {
namespace {

/// Ready sockets handled in one turn of the event loop. Bounds how long other work on the core
/// waits, and shares the two system calls of a turn between them.
constexpr int kSocketsPerTurn = 32;

/// Handles kept for reuse.
constexpr std::size_t kIdleHandlesMax = 64;

void init_curl_once() {
  static const bool ready = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
  CHECK(ready);
}

struct SlistFree {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

/// The host of `url` as written, in lower case, without brackets.
std::string host_of(std::string_view url) {
  const std::size_t scheme = url.find("://");
  if (scheme != std::string_view::npos) url.remove_prefix(scheme + 3);
  url = url.substr(0, url.find_first_of("/?#"));
  if (const std::size_t at = url.rfind('@'); at != std::string_view::npos)
    url.remove_prefix(at + 1);
  std::string host;
  if (url.starts_with('[')) {
    host = url.substr(1, url.find(']') - 1);
  } else {
    host = url.substr(0, url.find(':'));
  }
  for (char& c : host) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  return host;
}

bool starts_with_no_case(std::string_view text, std::string_view lower_prefix) {
  if (text.size() < lower_prefix.size()) return false;
  for (std::size_t i = 0; i < lower_prefix.size(); ++i) {
    char c = text[i];
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
    if (c != lower_prefix[i]) return false;
  }
  return true;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

/// `sent` tells whether anything of the request reached the upstream.
Status to_status(CURLcode code, const char* reason, bool sent) {
  if (code == CURLE_OK) return {};
  std::string detail = reason[0] != '\0' ? reason : curl_easy_strerror(code);
  switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
      return Error{Errc::deadline_exceeded, std::move(detail)};
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
      // The same code stands for an answer that is not HTTP at all.
      return Error{sent ? Errc::unavailable : Errc::invalid_argument, std::move(detail)};
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_ISSUER_ERROR:
      return Error{Errc::failed_precondition, std::move(detail)};
    default:
      return Error{Errc::unavailable, std::move(detail)};
  }
}

/// Sets all that an earlier request on the same handle may have set otherwise.
void set_method(CURL* easy, const Request& request, curl_mime* form) {
  const bool has_body = request.method == Method::post || request.method == Method::put;
  CHECK(has_body || request.body.empty());
  CHECK(form == nullptr || (request.method == Method::post && request.body.empty()));
  if (form != nullptr) {
    curl_easy_setopt(easy, CURLOPT_MIMEPOST, form);
  } else if (has_body) {
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                     static_cast<curl_off_t>(request.body.size()));
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request.body.data());
  } else {
    curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
  }
  const char* name = nullptr;
  if (request.method == Method::put) name = "PUT";
  if (request.method == Method::del) name = "DELETE";
  curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, name);
}

}  // namespace

bool is_loopback_url(std::string_view url) {
  const std::string host = host_of(url);
  return host == "localhost" || host == "::1" ||
         (host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string::npos);
}

// How the sockets are watched: all of curl's sockets are in one epoll set of this loop's own, and
// Asio waits for that one descriptor. Asio would otherwise need a system call per socket and wait.
// It also settles who owns a descriptor: curl alone opens and closes them. A socket that curl
// closes leaves the set by itself, and an event of a reused number is at worst one read that finds
// nothing.
class TransferLoop::Impl : public std::enable_shared_from_this<TransferLoop::Impl> {
 public:
  Impl(boost::asio::io_context& io, std::size_t connections_max);

  /// The part of the construction that needs weak_from_this.
  void open() { wait_for_sockets(); }
  ~Impl();

  TransferId start(Request request, TransferHandler& handler);
  void cancel(TransferId id);
  TimerId schedule(std::chrono::milliseconds delay, std::function<void()> fn);
  void cancel_timer(TimerId id);
  void post(std::function<void()> fn);

 private:
  /// One request and the handle it uses; pooled. `handler` is null once it is cancelled.
  struct Transfer {
    Impl* loop = nullptr;
    CURL* easy = nullptr;
    std::string ca_file;  ///< Of every request on this handle.
    TransferHandler* handler = nullptr;
    TransferId id = 0;
    Request request;
    std::unique_ptr<curl_slist, SlistFree> headers;
    std::optional<MultipartBody> form;
    int status = 0;
    bool head_done = false;
    bool attached = false;  ///< curl_multi knows the handle.
    std::string content_type;
    std::string retry_after;
    std::string location;
    std::array<char, CURL_ERROR_SIZE> reason{};

    Transfer() = default;
    Transfer(const Transfer&) = delete;
    Transfer& operator=(const Transfer&) = delete;
    ~Transfer() {
      if (easy != nullptr) curl_easy_cleanup(easy);
    }
  };

  static int socket_changed(CURL* easy, curl_socket_t socket, int what, void* self, void* known);
  static int timer_changed(CURLM* multi, long timeout_ms, void* self);
  static std::size_t write_body(char* bytes, std::size_t size, std::size_t count, void* transfer);
  static std::size_t write_header(char* bytes, std::size_t size, std::size_t count, void* transfer);

  std::unique_ptr<Transfer> take_handle(const std::string& ca_file);
  void prepare(Transfer& transfer);
  void attach(Transfer& transfer);
  void recycle(std::unique_ptr<Transfer> transfer);

  void wait_for_sockets();
  void sockets_ready();
  void kick();
  void drive(curl_socket_t socket, int events);
  void settle();

  void arm_timer();
  void timers_due();

  boost::asio::io_context& io_;
  CURLM* multi_ = nullptr;
  // The epoll set.
  boost::asio::posix::stream_descriptor sockets_;
  boost::asio::steady_timer timer_;

  std::unordered_map<TransferId, std::unique_ptr<Transfer>> transfers_;
  std::vector<std::unique_ptr<Transfer>> idle_;
  std::uint64_t last_id_ = 0;

  // curl forbids adding and removing handles inside its callbacks; what is asked for there waits
  // for the end of the current call into curl.
  bool in_curl_ = false;
  std::vector<TransferId> to_attach_;
  std::vector<std::unique_ptr<Transfer>> to_remove_;

  bool kick_posted_ = false;
  std::optional<SteadyTime> curl_deadline_;
  std::map<std::pair<SteadyTime, TimerId>, std::function<void()>> timers_;
  std::unordered_map<TimerId, SteadyTime> timer_times_;
  std::optional<SteadyTime> armed_for_;
};

TransferLoop::Impl::Impl(boost::asio::io_context& io, std::size_t connections_max)
    : io_(io), sockets_(io), timer_(io) {
  init_curl_once();
  const int set = epoll_create1(EPOLL_CLOEXEC);
  CHECK(set >= 0);
  sockets_.assign(set);
  multi_ = curl_multi_init();
  CHECK(multi_ != nullptr);
  curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, &Impl::socket_changed);
  curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, this);
  curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, &Impl::timer_changed);
  curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, this);
  curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, static_cast<long>(connections_max));
  curl_multi_setopt(multi_, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
}

TransferLoop::Impl::~Impl() {
  CHECK(!in_curl_);
  for (auto& [id, transfer] : transfers_) {
    if (transfer->attached) curl_multi_remove_handle(multi_, transfer->easy);
  }
  transfers_.clear();
  idle_.clear();
  curl_multi_cleanup(multi_);
}

int TransferLoop::Impl::socket_changed(CURL* /*easy*/, curl_socket_t socket, int what, void* self,
                                       void* known) {
  auto& loop = *static_cast<Impl*>(self);
  const int set = loop.sockets_.native_handle();
  if (what == CURL_POLL_REMOVE) {
    // Fails when the socket is closed already, which removed it as well.
    epoll_ctl(set, EPOLL_CTL_DEL, socket, nullptr);
    return 0;
  }
  epoll_event event{};
  event.data.fd = socket;
  if ((what & CURL_POLL_IN) != 0) event.events |= EPOLLIN;
  if ((what & CURL_POLL_OUT) != 0) event.events |= EPOLLOUT;
  // curl and the kernel may disagree about what is in the set after a number was reused.
  const int first = known == nullptr ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
  const int other = known == nullptr ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
  if (epoll_ctl(set, first, socket, &event) != 0 && epoll_ctl(set, other, socket, &event) != 0) {
    return -1;  // The transfer fails; out of memory or of watches.
  }
  if (known == nullptr) curl_multi_assign(loop.multi_, socket, &loop);
  return 0;
}

int TransferLoop::Impl::timer_changed(CURLM* /*multi*/, long timeout_ms, void* self) {
  auto& loop = *static_cast<Impl*>(self);
  if (timeout_ms < 0) {
    loop.curl_deadline_.reset();
  } else if (timeout_ms == 0) {
    loop.curl_deadline_.reset();
    loop.kick();
  } else {
    loop.curl_deadline_ = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
    loop.arm_timer();
  }
  return 0;
}

std::size_t TransferLoop::Impl::write_body(char* bytes, std::size_t /*size*/, std::size_t count,
                                           void* transfer) {
  auto& self = *static_cast<Transfer*>(transfer);
  if (self.handler != nullptr) self.handler->on_body({bytes, count});
  // An error is how curl is told to close the connection of a transfer that was cancelled.
  return self.handler != nullptr ? count : CURL_WRITEFUNC_ERROR;
}

std::size_t TransferLoop::Impl::write_header(char* bytes, std::size_t /*size*/, std::size_t count,
                                             void* transfer) {
  auto& self = *static_cast<Transfer*>(transfer);
  const std::string_view line(bytes, count);
  if (self.handler == nullptr) return CURL_WRITEFUNC_ERROR;
  if (self.head_done) return count;  // A trailer.
  if (line.starts_with("HTTP/")) {
    // A new response: the one before it was interim, such as 100.
    const std::size_t space = line.find(' ');
    self.status = space == std::string_view::npos ? 0 : std::atoi(line.data() + space + 1);
    self.content_type.clear();
    self.retry_after.clear();
    self.location.clear();
  } else if (starts_with_no_case(line, "content-type:")) {
    self.content_type = trimmed(line.substr(13));
  } else if (starts_with_no_case(line, "retry-after:")) {
    self.retry_after = trimmed(line.substr(12));
  } else if (starts_with_no_case(line, "location:")) {
    self.location = trimmed(line.substr(9));
  } else if (trimmed(line).empty() && self.status >= 200) {
    self.head_done = true;
    self.handler->on_head({self.status, self.content_type, self.retry_after, self.location});
    if (self.handler == nullptr) return CURL_WRITEFUNC_ERROR;
  }
  return count;
}

std::unique_ptr<TransferLoop::Impl::Transfer> TransferLoop::Impl::take_handle(
    const std::string& ca_file) {
  // A handle keeps its certificates: curl cannot be told to go back to the system's.
  const auto same = std::find_if(idle_.rbegin(), idle_.rend(),
                                 [&](const auto& idle) { return idle->ca_file == ca_file; });
  if (same != idle_.rend()) {
    auto transfer = std::move(*same);
    *same = std::move(idle_.back());
    idle_.pop_back();
    return transfer;
  }
  auto transfer = std::make_unique<Transfer>();
  transfer->loop = this;
  CURL* easy = curl_easy_init();
  CHECK(easy != nullptr);
  transfer->easy = easy;
  curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer.get());
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &Impl::write_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer.get());
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, &Impl::write_header);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer.get());
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->reason.data());
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 1L);
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
  curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  curl_easy_setopt(easy, CURLOPT_USERAGENT, "parlance");
  if (!ca_file.empty()) {
    transfer->ca_file = ca_file;
    curl_easy_setopt(easy, CURLOPT_CAINFO, ca_file.c_str());
    // Else the system's folder of certificates would be trusted beside it.
    curl_easy_setopt(easy, CURLOPT_CAPATH, nullptr);
  }
  return transfer;
}

void TransferLoop::Impl::prepare(Transfer& transfer) {
  CURL* easy = transfer.easy;
  const Request& request = transfer.request;
  curl_slist* list = nullptr;
  const auto add = [&](const char* header) {
    curl_slist* longer = curl_slist_append(list, header);
    CHECK(longer != nullptr);
    list = longer;
  };
  for (const std::string& header : request.headers) add(header.c_str());
  add("Expect:");  // Else curl asks before it sends a long conversation, which costs a round trip.
  transfer.headers.reset(list);

  curl_easy_setopt(easy, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, list);
  if (!request.form.empty()) transfer.form.emplace(easy, request.form);
  set_method(easy, request, transfer.form ? transfer.form->mime() : nullptr);
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                   static_cast<long>(request.connect_timeout.count()));
  // Waiting for the first connection's handshake lets a burst of calls share it over HTTP/2; a
  // plain connection never can.
  const bool tls = starts_with_no_case(request.url, "https:");
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION,
                   tls ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1);
  curl_easy_setopt(easy, CURLOPT_PIPEWAIT, tls ? 1L : 0L);
  curl_easy_setopt(easy, CURLOPT_PROXY, is_loopback_url(request.url) ? "" : nullptr);
  transfer.status = 0;
  transfer.head_done = false;
  transfer.content_type.clear();
  transfer.retry_after.clear();
  transfer.location.clear();
  transfer.reason[0] = '\0';
}

TransferId TransferLoop::Impl::start(Request request, TransferHandler& handler) {
  std::unique_ptr<Transfer> transfer = take_handle(request.ca_file);
  transfer->id = ++last_id_;
  transfer->handler = &handler;
  transfer->request = std::move(request);
  prepare(*transfer);
  Transfer& started = *transfer;
  transfers_.emplace(started.id, std::move(transfer));
  if (in_curl_) {
    to_attach_.push_back(started.id);
  } else {
    attach(started);
  }
  return started.id;
}

void TransferLoop::Impl::attach(Transfer& transfer) {
  // Only sets curl's timer to "now": the transfer begins in the next turn of the event loop.
  CHECK(curl_multi_add_handle(multi_, transfer.easy) == CURLM_OK);
  transfer.attached = true;
}

void TransferLoop::Impl::cancel(TransferId id) {
  const auto found = transfers_.find(id);
  if (found == transfers_.end()) return;
  std::unique_ptr<Transfer> transfer = std::move(found->second);
  transfers_.erase(found);
  transfer->handler = nullptr;
  if (transfer->form) transfer->form->abandon();
  if (in_curl_) {
    to_remove_.push_back(std::move(transfer));
    return;
  }
  if (transfer->attached) curl_multi_remove_handle(multi_, transfer->easy);
  recycle(std::move(transfer));
}

void TransferLoop::Impl::recycle(std::unique_ptr<Transfer> transfer) {
  transfer->attached = false;
  transfer->handler = nullptr;
  transfer->headers.reset();
  if (transfer->form) {
    curl_easy_setopt(transfer->easy, CURLOPT_MIMEPOST, nullptr);
    transfer->form.reset();
  }
  transfer->request = {};
  if (idle_.size() < kIdleHandlesMax) idle_.push_back(std::move(transfer));
}

void TransferLoop::Impl::wait_for_sockets() {
  sockets_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                      [weak = weak_from_this()](boost::system::error_code error) {
                        if (error) return;
                        if (const auto self = weak.lock()) self->sockets_ready();
                      });
}

void TransferLoop::Impl::sockets_ready() {
  std::array<epoll_event, kSocketsPerTurn> ready;
  const int count = epoll_wait(sockets_.native_handle(), ready.data(), kSocketsPerTurn, 0);
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = ready[static_cast<std::size_t>(i)];
    int events = 0;
    // An error or a hang-up is found by the read that follows.
    if ((event.events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0) events |= CURL_CSELECT_IN;
    if ((event.events & EPOLLOUT) != 0) events |= CURL_CSELECT_OUT;
    drive(event.data.fd, events);
  }
  wait_for_sockets();
}

void TransferLoop::Impl::kick() {
  if (kick_posted_) return;
  kick_posted_ = true;
  boost::asio::post(io_, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) {
      self->kick_posted_ = false;
      self->drive(CURL_SOCKET_TIMEOUT, 0);
    }
  });
}

void TransferLoop::Impl::drive(curl_socket_t socket, int events) {
  int running = 0;
  in_curl_ = true;
  curl_multi_socket_action(multi_, socket, events, &running);
  in_curl_ = false;
  settle();
}

void TransferLoop::Impl::settle() {
  for (auto& transfer : std::exchange(to_remove_, {})) {
    if (transfer->attached) curl_multi_remove_handle(multi_, transfer->easy);
    recycle(std::move(transfer));
  }
  for (const TransferId id : std::exchange(to_attach_, {})) {
    const auto found = transfers_.find(id);
    if (found != transfers_.end()) attach(*found->second);
  }
  int left = 0;
  while (CURLMsg* message = curl_multi_info_read(multi_, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    const CURLcode code = message->data.result;
    Transfer* done = nullptr;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &done);
    const auto found = transfers_.find(done->id);
    CHECK(found != transfers_.end());
    std::unique_ptr<Transfer> transfer = std::move(found->second);
    transfers_.erase(found);
    long sent = 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_REQUEST_SIZE, &sent);
    curl_multi_remove_handle(multi_, transfer->easy);
    TransferHandler* handler = transfer->handler;
    Status status = to_status(code, transfer->reason.data(), sent > 0);
    if (code != CURLE_OK && transfer->form && transfer->form->fault()) {
      status = *transfer->form->fault();
    }
    recycle(std::move(transfer));
    handler->on_done(std::move(status));
  }
}

TimerId TransferLoop::Impl::schedule(std::chrono::milliseconds delay, std::function<void()> fn) {
  const TimerId id = ++last_id_;
  const SteadyTime when = std::chrono::steady_clock::now() + delay;
  timers_.emplace(std::pair(when, id), std::move(fn));
  timer_times_.emplace(id, when);
  arm_timer();
  return id;
}

void TransferLoop::Impl::cancel_timer(TimerId id) {
  const auto found = timer_times_.find(id);
  if (found == timer_times_.end()) return;
  timers_.erase({found->second, id});
  timer_times_.erase(found);
}

void TransferLoop::Impl::post(std::function<void()> fn) {
  boost::asio::post(io_, [weak = weak_from_this(), fn = std::move(fn)] {
    if (const auto self = weak.lock()) fn();
  });
}

void TransferLoop::Impl::arm_timer() {
  std::optional<SteadyTime> next = curl_deadline_;
  if (!timers_.empty() && (!next || timers_.begin()->first.first < *next)) {
    next = timers_.begin()->first.first;
  }
  // A timer that fires too early only looks and arms again, which costs less than setting it back
  // whenever a deadline moves.
  if (!next || (armed_for_ && *armed_for_ <= *next)) return;
  armed_for_ = next;
  timer_.expires_at(*next);
  timer_.async_wait([weak = weak_from_this()](boost::system::error_code error) {
    if (error) return;
    if (const auto self = weak.lock()) self->timers_due();
  });
}

void TransferLoop::Impl::timers_due() {
  armed_for_.reset();
  const SteadyTime now = std::chrono::steady_clock::now();
  if (curl_deadline_ && *curl_deadline_ <= now) {
    curl_deadline_.reset();
    drive(CURL_SOCKET_TIMEOUT, 0);
  }
  while (!timers_.empty() && timers_.begin()->first.first <= now) {
    const auto first = timers_.begin();
    const std::function<void()> fn = std::move(first->second);
    timer_times_.erase(first->first.second);
    timers_.erase(first);
    fn();
  }
  arm_timer();
}

TransferLoop::TransferLoop(boost::asio::io_context& io, std::size_t connections_max)
    : impl_(std::make_shared<Impl>(io, connections_max)) {
  impl_->open();
}

TransferLoop::~TransferLoop() = default;

TransferId TransferLoop::start(Request request, TransferHandler& handler) {
  return impl_->start(std::move(request), handler);
}

void TransferLoop::cancel(TransferId transfer) {
  impl_->cancel(transfer);
}

TimerId TransferLoop::schedule(std::chrono::milliseconds delay, std::function<void()> fn) {
  return impl_->schedule(delay, std::move(fn));
}

void TransferLoop::cancel_timer(TimerId timer) {
  impl_->cancel_timer(timer);
}

void TransferLoop::post(std::function<void()> fn) {
  impl_->post(std::move(fn));
}

}  // namespace parlance::http
