// parlance-load http: one request again and again over keep-alive connections, in a closed loop:
// for routes that answer at once, of any server.

#include <memory>
#include <vector>

#include <fmt/format.h>

#include "benchmarks/load/http_client.h"
#include "benchmarks/load/modes.h"
#include "benchmarks/support/clock.h"

namespace parlance::benchmarks {
namespace {

class HttpMode : public HttpObserver {
 public:
  explicit HttpMode(const HttpOptions& options)
      : options_(options), window_(options.common.server_pid), sent_ns_(options.connections) {
    const Url url = parse_url(options.url);
    address_ = url.address;
    const bool posts = !options.body.empty();
    request_ =
        fmt::format("{} {} HTTP/1.1\r\nHost: localhost\r\n", posts ? "POST" : "GET", url.path);
    if (posts) {
      request_ += fmt::format("Content-Type: application/json\r\nContent-Length: {}\r\n",
                              options.body.size());
    }
    request_ += "\r\n" + options.body;
  }

  int measure() {
    for (size_t i = 0; i < options_.connections; ++i) {
      clients_.push_back(std::make_unique<HttpClient>(loop_, *this, address_, i));
    }
    const int64_t begin_ns = now_ns() + seconds_to_ns(options_.warmup_s);
    end_ns_ = begin_ns + seconds_to_ns(options_.duration_s);
    window_.schedule(begin_ns, end_ns_);
    for (const auto& client : clients_) send(*client);
    loop_.run_until([] { return false; }, begin_ns);
    window_.begin();
    loop_.run_until([] { return false; }, end_ns_);
    window_.end();
    return report();
  }

 private:
  void send(HttpClient& client) {
    sent_ns_[client.index()] = now_ns();
    client.send(request_);
  }

  void on_answer(HttpClient& client, int status, std::string_view body,
                 int64_t received_ns) override {
    const int64_t sent_ns = sent_ns_[client.index()];
    if (status / 100 != 2) {
      ++errors_;
      last_error_ = fmt::format("{} {}", status, body.substr(0, 300));
    } else if (window_.is_open()) {
      ++answered_;
      if (window_.contains(sent_ns)) answer_.record(received_ns - sent_ns);
    }
    if (received_ns < end_ns_) send(client);
  }

  void on_closed(HttpClient& /*client*/, std::string_view why) override {
    ++lost_;
    last_error_ = why;
  }

  int report() {
    Report report("http");
    report.add("connections", static_cast<double>(options_.connections));
    report.add("requests_per_second", static_cast<double>(answered_) / window_.seconds());
    report.add("errors", static_cast<double>(errors_));
    report.add("lost", static_cast<double>(lost_));
    window_.report(report);
    report.add_latency("answer", answer_);
    if (errors_ + lost_ > 0) {
      fmt::print(stderr, "last error: {}\n", last_error_);
      report.invalidate("not every request was answered with success");
    }
    if (answer_.count() == 0) report.invalidate("nothing was answered");
    report.publish(options_.common.json_path);
    return report.is_valid() ? kExitOk : kExitInvalid;
  }

  HttpOptions options_;
  EventLoop loop_;
  MeasuredWindow window_;
  Address address_;
  std::string request_;
  std::vector<std::unique_ptr<HttpClient>> clients_;
  std::vector<int64_t> sent_ns_;
  int64_t end_ns_ = 0;
  uint64_t answered_ = 0;
  uint64_t errors_ = 0;
  uint64_t lost_ = 0;
  std::string last_error_;
  Histogram answer_;
};

}  // namespace

int measure_http(const HttpOptions& options) {
  return HttpMode(options).measure();
}

}  // namespace parlance::benchmarks
