#include "llm/openai_provider.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "base/clock.h"
#include "llm/openai_http.h"
#include "llm/retry_policy.h"
#include "llm/sse_parser.h"

namespace parlance::llm {
namespace {

using std::chrono::milliseconds;

/// What is kept of a response that is no answer, to quote from.
constexpr std::size_t kQuotedBodyBytesMax = 4'096;

/// JSON around the text of a plain answer; escapes may double it.
constexpr std::size_t kPlainAnswerOverhead = 64 << 10;

/// How long the end of a response may take once all that matters of it is known.
constexpr milliseconds kTailTimeout{2'000};

bool is_openai_itself(std::string_view url) {
  return url.find("://api.openai.com/") != std::string_view::npos ||
         url.find(".openai.azure.com/") != std::string_view::npos;
}

}  // namespace

class OpenAiProvider::Call final : public http::TransferHandler {
 public:
  Call(OpenAiProvider& provider, CallId id, ModelSink& sink)
      : provider_(provider),
        id_(id),
        sink_(sink),
        parser_(provider.options_.line_bytes_max),
        answer_(provider.reader_, provider.options_.answer_bytes_max),
        started_(std::chrono::steady_clock::now()),
        last_byte_(started_) {}
  ~Call() override { stop(); }

  void start(http::Request request) {
    transfer_ = provider_.loop_.start(std::move(request), *this);
    arm();
  }

  const ModelUsage& usage() const { return answer_.usage(); }

  /// No callback comes after this. A call that is inside one of its callbacks lives until the end
  /// of that.
  static void end(std::unique_ptr<Call> call) {
    call->stop();
    if (call->busy_) {
      Call& self = *call;
      self.self_ = std::move(call);
    }
  }

  void on_head(const http::ResponseHead& head) override {
    status_ = head.status;
    head_at_ = std::chrono::steady_clock::now();
    if (status_ < 200 || status_ > 299) {
      mode_ = Mode::refusal;
      retry_after_ = parse_retry_after(head.retry_after, wall_now());
      arm();
    } else if (head.content_type.starts_with("application/json")) {
      mode_ = Mode::plain;
    } else {
      mode_ = Mode::stream;
    }
  }

  void on_body(std::string_view bytes) override {
    if (phase_ == Phase::draining) return;
    run([&] { take_body(bytes); });
  }

  void on_done(Status result) override {
    transfer_ = 0;
    run([&] { take_end(result); });
  }

 private:
  enum class Mode : unsigned char { none, stream, plain, refusal };
  enum class Phase : unsigned char { running, draining, stopped };

  /// Runs the inside of a callback. `this` may be gone when it returns.
  template <class Body>
  void run(Body&& body) {
    busy_ = true;
    body();
    busy_ = false;
    const std::unique_ptr<Call> last = std::move(self_);
  }

  void stop() {
    phase_ = Phase::stopped;
    if (transfer_ != 0) provider_.loop_.cancel(std::exchange(transfer_, 0));
    if (timer_ != 0) provider_.loop_.cancel_timer(std::exchange(timer_, 0));
  }

  void take_body(std::string_view bytes) {
    if (mode_ == Mode::refusal) {
      body_.append(bytes.substr(0, kQuotedBodyBytesMax - body_.size()));
      if (body_.size() == kQuotedBodyBytesMax) refused();
      return;
    }
    last_byte_ = std::chrono::steady_clock::now();
    if (mode_ == Mode::plain) {
      take_plain(bytes);
      return;
    }
    if (events_ == 0 && body_.size() < kQuotedBodyBytesMax) {
      body_.append(bytes.substr(0, kQuotedBodyBytesMax - body_.size()));
    }
    const auto outcome = parser_.feed(bytes, [this](const SseEvent& event) {
      take_event(event);
      return phase_ == Phase::running;
    });
    if (outcome == SseParser::Outcome::too_big) {
      fail(Errc::unavailable, false,
           fmt::format("sent a line of more than {} bytes", provider_.options_.line_bytes_max));
    }
  }

  void take_event(const SseEvent& event) {
    ++events_;
    if (event.data == "[DONE]") {
      finish();
      return;
    }
    const bool had_ended = answer_.ended();
    const auto outcome = answer_.add(event.data);
    if (outcome != AnswerAssembler::Outcome::taken) {
      refuse_chunk(outcome, event.data);
      return;
    }
    if (answer_.begun() && !begun_) {
      begun_ = true;
      arm();
    }
    if (answer_.ended() && !had_ended) {
      ended_at_ = last_byte_;
      arm();
    }
    if (!answer_.delta().empty()) sink_.on_text(id_, answer_.delta());
  }

  void take_plain(std::string_view bytes) {
    begun_ = true;
    const std::size_t bytes_max = 2 * provider_.options_.answer_bytes_max + kPlainAnswerOverhead;
    if (bytes.size() > bytes_max - body_.size()) {
      refuse_chunk(AnswerAssembler::Outcome::too_big, {});
      return;
    }
    body_ += bytes;
  }

  void refuse_chunk(AnswerAssembler::Outcome outcome, std::string_view chunk) {
    switch (outcome) {
      case AnswerAssembler::Outcome::too_big:
        fail(Errc::resource_exhausted, false,
             fmt::format("answered with more than {} bytes", provider_.options_.answer_bytes_max));
        return;
      case AnswerAssembler::Outcome::error_object: {
        const UpstreamError& error = answer_.error();
        const bool transient = is_transient(error);
        fail(transient ? Errc::unavailable : Errc::failed_precondition, transient,
             fmt::format("reported an error: {}", quoted(error.message)));
        return;
      }
      default:
        fail(Errc::unavailable, true,
             fmt::format("sent a chunk that is not JSON: {}", quoted(chunk)));
    }
  }

  void take_end(const Status& result) {
    if (phase_ == Phase::draining) {
      end(provider_.release_draining(this));
      return;
    }
    if (mode_ == Mode::refusal) {
      refused();
    } else if (mode_ == Mode::stream && answer_.ended()) {
      finish();
    } else if (!result) {
      broken(result.error());
    } else if (mode_ == Mode::plain) {
      finish_plain();
    } else if (events_ == 0 && !body_.empty()) {
      fail(Errc::unavailable, true,
           fmt::format("answered with something that is not an event stream: {}", quoted(body_)));
    } else {
      fail(Errc::unavailable, true, "cut the stream before the answer was complete");
    }
  }

  void broken(const Error& error) {
    if (begun_) {
      fail(Errc::unavailable, true,
           fmt::format("cut the stream before the answer was complete ({})", quoted(error.detail)));
      return;
    }
    const bool transient = error.code == Errc::unavailable || error.code == Errc::deadline_exceeded;
    const char* const advice =
        error.code == Errc::failed_precondition
            ? "; to trust a private certificate authority, give its certificate as `ca_file`"
            : "";
    fail(error.code, transient,
         fmt::format("could not be reached: {}{}", quoted(error.detail), advice));
  }

  void refused() { fail(refusal_of(provider_.options_.name, status_, body_, provider_.key_)); }

  void finish_plain() {
    const auto outcome = answer_.add(body_);
    if (outcome != AnswerAssembler::Outcome::taken) {
      refuse_chunk(outcome, body_);
      return;
    }
    if (!answer_.begun() && !answer_.ended()) {
      fail(Errc::unavailable, true,
           fmt::format("answered with JSON that is no completion: {}", quoted(body_)));
      return;
    }
    if (!answer_.delta().empty()) sink_.on_text(id_, answer_.delta());
    finish();
  }

  void finish() {
    if (phase_ != Phase::running) return;
    if (const std::string_view rest = answer_.flush(); !rest.empty()) sink_.on_text(id_, rest);
    if (phase_ != Phase::running) return;
    ModelAnswer answer = answer_.take();
    std::unique_ptr<Call> self = provider_.release(id_);
    if (transfer_ != 0) {
      phase_ = Phase::draining;
      ended_at_ = std::chrono::steady_clock::now();
      arm();
      provider_.keep_draining(std::move(self));
      sink_.on_finished(id_, std::move(answer));
      return;
    }
    sink_.on_finished(id_, std::move(answer));
    end(std::move(self));
  }

  void fail(Errc code, bool retryable, std::string what) {
    fail({code, fmt::format("provider {} {}", provider_.options_.name, what), retryable, {}});
  }

  void fail(ModelFailure failure) {
    failure.retry_after = retry_after_;
    failure.usage = answer_.usage();
    std::unique_ptr<Call> self = provider_.release(id_);
    stop();
    sink_.on_failed(id_, std::move(failure));
    end(std::move(self));
  }

  std::string quoted(std::string_view text) const { return error_sentence(text, provider_.key_); }

  SteadyTime deadline() const {
    const ProviderOptions& options = provider_.options_;
    SteadyTime limit = last_byte_ + options.idle_timeout;
    if (phase_ == Phase::draining || answer_.ended()) {
      limit = ended_at_ + kTailTimeout;
    } else if (mode_ == Mode::refusal) {
      limit = head_at_ + kTailTimeout;
    } else if (!begun_) {
      limit = started_ + options.first_token_timeout;
    }
    return std::min(limit, started_ + options.call_timeout);
  }

  /// Makes sure that the timer fires no later than the deadline. It may fire earlier: bytes move
  /// the deadline far more often than it is reached.
  void arm() {
    const SteadyTime limit = deadline();
    if (timer_ != 0 && timer_at_ <= limit) return;
    if (timer_ != 0) provider_.loop_.cancel_timer(timer_);
    timer_at_ = limit;
    const auto left = std::chrono::ceil<milliseconds>(limit - std::chrono::steady_clock::now());
    timer_ = provider_.loop_.schedule(std::max(left, milliseconds(0)), [this] {
      timer_ = 0;
      run([this] { take_timer(); });
    });
  }

  void take_timer() {
    const SteadyTime now = std::chrono::steady_clock::now();
    if (now < deadline()) {
      arm();
      return;
    }
    const ProviderOptions& options = provider_.options_;
    if (phase_ == Phase::draining) {
      end(provider_.release_draining(this));
    } else if (mode_ == Mode::refusal) {
      refused();
    } else if (answer_.ended()) {
      finish();
    } else if (now >= started_ + options.call_timeout) {
      fail(Errc::deadline_exceeded, true,
           fmt::format("took longer than {} ms for its answer", options.call_timeout.count()));
    } else if (!begun_) {
      fail(Errc::deadline_exceeded, true,
           fmt::format("did not begin its answer within {} ms",
                       options.first_token_timeout.count()));
    } else {
      fail(Errc::deadline_exceeded, true,
           fmt::format("sent nothing for {} ms in the middle of its answer",
                       options.idle_timeout.count()));
    }
  }

  OpenAiProvider& provider_;
  const CallId id_;
  ModelSink& sink_;
  SseParser parser_;
  AnswerAssembler answer_;
  http::TransferId transfer_ = 0;
  http::TimerId timer_ = 0;
  const SteadyTime started_;
  SteadyTime last_byte_;
  SteadyTime head_at_;
  SteadyTime ended_at_;
  SteadyTime timer_at_;
  int status_ = 0;
  std::size_t events_ = 0;
  Mode mode_ = Mode::none;
  Phase phase_ = Phase::running;
  bool begun_ = false;
  bool busy_ = false;
  std::optional<milliseconds> retry_after_;
  std::string body_;  // A plain answer, or the start of what is not one.
  std::unique_ptr<Call> self_;
};

OpenAiProvider::OpenAiProvider(http::TransferLoop& loop, ProviderOptions options)
    : loop_(loop),
      options_(std::move(options)),
      key_(trimmed_key(options_.api_key)),
      url_(endpoint_url(options_.base_url, "/chat/completions")) {
  headers_ = {"Content-Type: application/json", "Accept: text/event-stream"};
  if (!key_.empty()) headers_.push_back("Authorization: Bearer " + key_);
}

OpenAiProvider::~OpenAiProvider() = default;

void OpenAiProvider::start(CallId call, std::shared_ptr<const ModelRequest> request,
                           ModelSink& sink) {
  CHECK(!calls_.contains(call));
  http::Request http;
  http.url = url_;
  http.headers = headers_;
  http.body =
      encode_request(*request, {options_.model, is_openai_itself(url_)}, tools_of(*request));
  http.connect_timeout = options_.connect_timeout;
  http.ca_file = options_.ca_file;
  auto started = std::make_unique<Call>(*this, call, sink);
  Call& running = *started;
  calls_.emplace(call, std::move(started));
  running.start(std::move(http));
}

ModelUsage OpenAiProvider::cancel(CallId call) {
  auto found = release(call);
  if (found == nullptr) return {};
  const ModelUsage used = found->usage();
  Call::end(std::move(found));
  return used;
}

std::string_view OpenAiProvider::tools_of(const ModelRequest& request) {
  if (request.tools == nullptr || request.tools->empty()) return {};
  if (tools_ != request.tools) {
    tools_ = request.tools;
    encoded_tools_ = encode_tools(*tools_);
  }
  return encoded_tools_;
}

std::unique_ptr<OpenAiProvider::Call> OpenAiProvider::release(CallId call) {
  const auto found = calls_.find(call);
  if (found == calls_.end()) return nullptr;
  auto released = std::move(found->second);
  calls_.erase(found);
  return released;
}

void OpenAiProvider::keep_draining(std::unique_ptr<Call> call) {
  Call* const key = call.get();
  draining_.emplace(key, std::move(call));
}

std::unique_ptr<OpenAiProvider::Call> OpenAiProvider::release_draining(Call* call) {
  const auto found = draining_.find(call);
  CHECK(found != draining_.end());
  auto released = std::move(found->second);
  draining_.erase(found);
  return released;
}

}  // namespace parlance::llm
