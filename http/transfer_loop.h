// HTTP requests on one core's event loop: curl's multi-socket interface, driven by Asio.
// One per core; everything but `post` runs on that core's thread. Owns the connections to the
// upstreams (kept alive and reused), the running transfers and the timers of this folder.
//
// Invariants: no callback runs inside `start`, `schedule` or `post`. `start` and `cancel` may be
// called from any callback. After `cancel` returns no callback of that transfer runs. Body bytes
// reach the handler straight from curl's receive buffer: no queue, no copy, no thread in between.
// Proxies are taken from the environment (https_proxy, http_proxy, no_proxy), except that loopback
// addresses are always called directly. Redirects are not followed: a bearer token must not travel.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "http/form_part.h"

namespace boost::asio {
class io_context;
}

namespace parlance::http {

/// Names a transfer or a timer of one loop; never reused, never 0.
using TransferId = std::uint64_t;
using TimerId = std::uint64_t;

enum class Method : unsigned char { post, put, get, del };

/// The scheme of `url` must be http or https.
struct Request {
  std::string url;
  std::vector<std::string> headers;                  ///< "Name: value".
  std::string body;                                  ///< Of a POST or a PUT only.
  std::chrono::milliseconds connect_timeout{5'000};  ///< Name lookup, TCP and TLS together.
  std::string ca_file = {};  ///< Certificates to trust instead of the system's, as PEM; or empty.
  Method method = Method::post;
  /// A POST's body instead of `body`, where there are any; its Content-Type is added.
  std::vector<FormPart> form = {};
};

/// What is known once the headers of the final response are in. Views hold during the callback.
struct ResponseHead {
  int status = 0;
  std::string_view content_type;
  std::string_view retry_after;  ///< As sent: seconds or a date. Empty: none.
  std::string_view location;     ///< Of a redirect, which is not followed.
};

class TransferHandler {
 public:
  virtual ~TransferHandler() = default;
  virtual void on_head(const ResponseHead& head) = 0;
  /// `bytes` is valid during the call only.
  virtual void on_body(std::string_view bytes) = 0;
  /// Last callback of a transfer that was not cancelled. Success: the response ended as HTTP says
  /// it should, whatever its status. Errors: deadline_exceeded (connecting), invalid_argument
  /// (URL), failed_precondition (certificate), unavailable (everything on the way), and those of a
  /// form's `read`.
  virtual void on_done(Status result) = 0;
};

/// Whether the host of `url` can only be this machine.
bool is_loopback_url(std::string_view url);

class TransferLoop {
 public:
  /// At most `connections_max` connections are kept, idle ones included.
  explicit TransferLoop(boost::asio::io_context& io, std::size_t connections_max = 1'024);
  /// Cancels all transfers, drops all timers and posted functions. Not from inside a callback.
  ~TransferLoop();
  TransferLoop(const TransferLoop&) = delete;
  TransferLoop& operator=(const TransferLoop&) = delete;

  /// `handler` must outlive the transfer.
  TransferId start(Request request, TransferHandler& handler);

  /// Ends a transfer without a further callback and closes its connection at once (over HTTP/2: its
  /// stream). From inside a callback that happens as soon as the callback has returned.
  /// Unknown: no effect.
  void cancel(TransferId transfer);

  /// Runs `fn` once after `delay`, never from inside `schedule`.
  TimerId schedule(std::chrono::milliseconds delay, std::function<void()> fn);
  void cancel_timer(TimerId timer);

  /// Runs `fn` on the loop's thread. Any thread, while this object lives.
  void post(std::function<void()> fn);

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace parlance::http
