#pragma once
// Many sessions of the KISS stack, each authorised and begun over a keep-alive connection of its
// own, opened a bounded number at a time.
//
// Thread: the loop's. Connections stay until the fleet is destroyed; one that the server closes is
// told.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "benchmarks/load/http_client.h"
#include "benchmarks/support/event_loop.h"
#include "benchmarks/support/socket.h"

namespace parlance::benchmarks {

class KissObserver {
 public:
  virtual ~KissObserver() = default;
  /// The answer to what `session` asked last; 200 is success. `body` is valid during the call.
  virtual void on_answer(size_t session, int status, std::string_view body,
                         int64_t received_ns) = 0;
  /// An open connection has been closed by the server.
  virtual void on_lost(size_t session, std::string_view why) = 0;
};

class KissFleet : public HttpObserver {
 public:
  KissFleet(EventLoop& loop, KissObserver& observer, const Address& address);

  /// Opens `count` sessions; runs the loop meanwhile. Throws std::runtime_error with the reason
  /// when one can't be opened or it takes over `timeout_ns`. Called once.
  void open(size_t count, int64_t timeout_ns);

  /// The session must have its last answer.
  void ask(size_t session, std::string_view question);

  bool is_closed(size_t session) const { return sessions_[session].client->is_closed(); }

 private:
  struct Session {
    std::unique_ptr<HttpClient> client;
    std::string token;
    bool open = false;
  };

  void start_one();
  void on_answer(HttpClient& client, int status, std::string_view body,
                 int64_t received_ns) override;
  void on_closed(HttpClient& client, std::string_view why) override;
  void take_opening(Session& session, int status, std::string_view body);

  EventLoop& loop_;
  KissObserver& observer_;
  Address address_;
  std::vector<Session> sessions_;
  size_t open_count_ = 0;
  std::string failure_;
};

}  // namespace parlance::benchmarks
