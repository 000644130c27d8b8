// parlance-load kiss-store: one client of the KISS stack after the other stores many files in one
// request and asks about them. The first question makes the index; the second finds it there.

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "benchmarks/load/http_client.h"
#include "benchmarks/load/kiss_requests.h"
#include "benchmarks/load/modes.h"
#include "benchmarks/support/clock.h"
#include "benchmarks/support/corpus.h"

namespace parlance::benchmarks {
namespace {

constexpr int64_t kCallTimeoutNs = 300 * kNsPerSecond;
constexpr size_t kSubjectWords = 700;  // then a file turns to another subject

std::vector<std::string> invented_files(Corpus& corpus, size_t count, size_t bytes) {
  std::vector<std::string> files(count);
  for (std::string& text : files) {
    while (text.size() < bytes) text += corpus.passage(kSubjectWords);
    text.resize(bytes);
  }
  return files;
}

class KissStoreMode : public HttpObserver {
 public:
  explicit KissStoreMode(const KissStoreOptions& options)
      : options_(options),
        address_(parse_url(options.url).address),
        corpus_(static_cast<uint32_t>(options.common.seed)),
        documents_(documents_body(invented_files(corpus_, options.files, options.file_bytes))) {}

  int measure() {
    const Progress progress(loop_, options_.common.quiet,
                            [this] { return fmt::format("{} stored", store_.count()); });
    const int64_t end_ns = now_ns() + seconds_to_ns(options_.duration_s);
    do {
      store_once();
    } while (now_ns() < end_ns);
    return report();
  }

 private:
  void store_once() {
    client_.emplace(loop_, *this, address_, 0);
    token_.clear();
    const int64_t begin_ns = now_ns();
    token_ = access_token_in(call(kAuthPath, kNewSessionBody, auth_));
    call(kInitPath, "{}", init_);
    call(kDocumentsPath, documents_, store_);
    for (size_t i = 0; i < options_.questions; ++i) {
      call(kQueryPath, query_body(corpus_.question()), i == 0 ? first_query_ : next_query_);
    }
    whole_.record(now_ns() - begin_ns);
  }

  /// One call to its end; the body of its answer.
  std::string call(std::string_view path, std::string_view body, Histogram& took) {
    answer_.reset();
    const int64_t begin_ns = now_ns();
    client_->send(kiss_request(address_, path, token_, body));
    const auto ended = [this] { return answer_.has_value() || client_->is_closed(); };
    if (!loop_.run_until(ended, begin_ns + kCallTimeoutNs)) {
      throw std::runtime_error(
          fmt::format("{} was not answered in {} s", path, kCallTimeoutNs / kNsPerSecond));
    }
    if (!answer_) throw std::runtime_error(fmt::format("{}: {}", path, closed_));
    if (status_ != 200) {
      throw std::runtime_error(fmt::format("{}: {} {}", path, status_, answer_->substr(0, 300)));
    }
    took.record(received_ns_ - begin_ns);
    return *answer_;
  }

  void on_answer(HttpClient&, int status, std::string_view body, int64_t received_ns) override {
    status_ = status;
    answer_ = body;
    received_ns_ = received_ns;
  }

  void on_closed(HttpClient&, std::string_view why) override { closed_ = why; }

  int report() {
    Report report("kiss-store");
    report.add("files", static_cast<double>(options_.files));
    report.add("file_bytes", static_cast<double>(options_.file_bytes));
    report.add("request_bytes", static_cast<double>(documents_.size()));
    report.add_latency("auth", auth_);
    report.add_latency("init", init_);
    report.add_latency("store", store_);
    report.add_latency("first query", first_query_);
    report.add_latency("next query", next_query_);
    report.add_latency("whole", whole_);
    report.publish(options_.common.json_path);
    return kExitOk;
  }

  KissStoreOptions options_;
  Address address_;
  EventLoop loop_;
  Corpus corpus_;
  std::string documents_;
  std::optional<HttpClient> client_;
  std::string token_;
  int status_ = 0;
  std::optional<std::string> answer_;
  int64_t received_ns_ = 0;
  std::string closed_;
  Histogram auth_, init_, store_, first_query_, next_query_, whole_;
};

}  // namespace

int measure_kiss_store(const KissStoreOptions& options) {
  return KissStoreMode(options).measure();
}

}  // namespace parlance::benchmarks
