#include "http/fetcher.h"

#include <utility>

#include <fmt/format.h>

#include "base/check.h"

namespace parlance::http {

class Fetcher::Call final : public TransferHandler {
 public:
  Call(Fetcher& fetcher, FetchId id, FetchLimits limits, Done done)
      : fetcher_(fetcher), id_(id), limits_(limits), done_(std::move(done)) {}
  ~Call() override { stop(); }

  void start(Request request) {
    transfer_ = fetcher_.loop_.start(std::move(request), *this);
    timer_ = fetcher_.loop_.schedule(limits_.timeout, [this] {
      timer_ = 0;
      finish(Error{Errc::deadline_exceeded,
                   fmt::format("no whole answer within {} ms", limits_.timeout.count())});
    });
  }

  void on_head(const ResponseHead& head) override {
    answer_.status = head.status;
    answer_.retry_after = head.retry_after;
  }

  void on_body(std::string_view bytes) override {
    if (bytes.size() <= limits_.body_bytes_max - answer_.body.size()) {
      answer_.body += bytes;
      return;
    }
    finish(Error{Errc::resource_exhausted,
                 fmt::format("the answer has more than {} bytes", limits_.body_bytes_max)});
  }

  void on_done(Status result) override {
    transfer_ = 0;
    if (!result) {
      finish(std::move(result).error());
    } else {
      finish(std::move(answer_));
    }
  }

 private:
  /// `this` is gone when it returns, and the fetcher may be.
  void finish(Result<Answer> result) {
    const auto found = fetcher_.calls_.find(id_);
    CHECK(found != fetcher_.calls_.end());
    const std::unique_ptr<Call> self = std::move(found->second);
    fetcher_.calls_.erase(found);
    stop();
    done_(std::move(result));
  }

  void stop() {
    if (transfer_ != 0) fetcher_.loop_.cancel(std::exchange(transfer_, 0));
    if (timer_ != 0) fetcher_.loop_.cancel_timer(std::exchange(timer_, 0));
  }

  Fetcher& fetcher_;
  const FetchId id_;
  const FetchLimits limits_;
  const Done done_;
  TransferId transfer_ = 0;
  TimerId timer_ = 0;
  Answer answer_;
};

Fetcher::Fetcher(TransferLoop& loop) : loop_(loop) {}

Fetcher::~Fetcher() = default;

FetchId Fetcher::fetch(Request request, FetchLimits limits, Done done) {
  const FetchId id = ++last_id_;
  auto call = std::make_unique<Call>(*this, id, limits, std::move(done));
  Call& started = *call;
  calls_.emplace(id, std::move(call));
  started.start(std::move(request));
  return id;
}

void Fetcher::cancel(FetchId fetch) {
  calls_.erase(fetch);
}

}  // namespace parlance::http
