#include "llm/speech_call.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "base/metrics.h"
#include "base/random.h"
#include "llm/openai_http.h"
#include "llm/openai_wire.h"
#include "llm/retry_policy.h"

namespace parlance::llm {
namespace {

using std::chrono::milliseconds;

/// What is kept of a response that is no answer, to quote from.
constexpr std::size_t kQuotedBytesMax = 4'096;
/// How long the rest of such a response may take.
constexpr milliseconds kTailTimeout{2'000};

double random_unit() {
  constexpr double kOneBy2To53 = 1.0 / 9007199254740992.0;
  return static_cast<double>(random_u64() >> 11) * kOneBy2To53;
}

ProviderOptions provider_of(const SpeechOptions& speech) {
  ProviderOptions out;
  out.name = "speech";
  out.kind = ProviderOptions::Kind::openai;
  out.tries_max = speech.tries_max;
  out.backoff_first = speech.backoff_first;
  out.backoff_max = speech.backoff_max;
  out.in_flight_max = speech.in_flight_max;
  out.queue_max = speech.queue_max;
  out.breaker_failures = speech.breaker_failures;
  out.breaker_open = speech.breaker_open;
  return out;
}

}  // namespace

SpeechCalls::SpeechCalls(http::TransferLoop& on, SpeechOptions with, std::function<double()> draw)
    : loop(on),
      options(std::move(with)),
      key(trimmed_key(options.api_key)),
      provider(provider_of(options)),
      jitter(draw ? std::move(draw) : &random_unit),
      gate(std::make_shared<ProviderGate>(provider)) {}

SpeechCall::SpeechCall(SpeechCalls& calls)
    : calls_(calls),
      id_(++calls.last_id),
      started_(std::chrono::steady_clock::now()),
      progress_(started_) {}

void SpeechCall::enter() {
  phase_ = Phase::queued;
  progress_ = std::chrono::steady_clock::now();
  auto entry = calls_.gate->enter([loop = &calls_.loop, self = weak_from_this()] {
    loop->post([self] {
      if (const auto waiting = self.lock()) waiting->place_answered();
    });
  });
  if (!entry) {
    refuse(std::move(entry).error());
  } else if (entry->permit) {
    permit_ = std::move(entry->permit);
    run();
  } else {
    ticket_ = entry->ticket;
    arm();
  }
}

void SpeechCall::refuse(Error error) {
  phase_ = Phase::waiting;
  again_ = calls_.loop.schedule(milliseconds(0), [this, error = std::move(error)] {
    again_ = 0;
    finish(error);
  });
}

void SpeechCall::place_answered() {
  if (ticket_ == 0) return;
  auto permit = calls_.gate->claim(ticket_);
  // Still waiting: the post was about an earlier ticket.
  if (!permit && permit.error().code == Errc::cancelled) return;
  ticket_ = 0;
  if (!permit) {
    finish(std::move(permit).error());
    return;
  }
  permit_ = std::move(*permit);
  run();
}

void SpeechCall::stop() {
  if (phase_ == Phase::stopped) return;
  phase_ = Phase::stopped;
  if (transfer_ != 0) calls_.loop.cancel(std::exchange(transfer_, 0));
  if (timer_ != 0) calls_.loop.cancel_timer(std::exchange(timer_, 0));
  if (again_ != 0) calls_.loop.cancel_timer(std::exchange(again_, 0));
  if (ticket_ != 0) calls_.gate->abandon(std::exchange(ticket_, 0));
  permit_.end(ProviderGate::Outcome::unknown);
}

http::Request SpeechCall::request_to(std::string_view path) const {
  http::Request out;
  out.url = endpoint_url(options().base_url, path);
  if (!key().empty()) out.headers.push_back("Authorization: Bearer " + key());
  out.connect_timeout = options().connect_timeout;
  out.ca_file = options().ca_file;
  return out;
}

void SpeechCall::run() {
  phase_ = Phase::running;
  ++tries_;
  mode_ = Mode::none;
  begun_ = false;
  sending_ = false;
  retry_after_.reset();
  quote_.clear();
  progress_ = std::chrono::steady_clock::now();
  transfer_ = calls_.loop.start(request(), *this);
  arm();
}

void SpeechCall::on_head(const http::ResponseHead& head) {
  status_ = head.status;
  if (status_ < 200 || status_ > 299) {
    mode_ = Mode::refusal;
    retry_after_ = parse_retry_after(head.retry_after, wall_now());
  } else if (!accepts(head.content_type)) {
    mode_ = Mode::other;
    content_type_ = head.content_type;
  } else {
    mode_ = Mode::answer;
    return;
  }
  progress_ = std::chrono::steady_clock::now();
  arm();
}

void SpeechCall::on_body(std::string_view bytes) {
  const auto self = shared_from_this();
  if (mode_ != Mode::answer) {
    quote_.append(bytes.substr(0, kQuotedBytesMax - quote_.size()));
    if (quote_.size() == kQuotedBytesMax) refused();
    return;
  }
  progress_ = std::chrono::steady_clock::now();
  sending_ = false;
  if (!std::exchange(begun_, true)) arm();
  take(bytes);
}

void SpeechCall::on_done(Status result) {
  const auto self = shared_from_this();
  transfer_ = 0;
  if (answers_otherwise()) {
    refused();
  } else if (!result) {
    broken(result.error());
  } else {
    take_end();
  }
}

void SpeechCall::sent(bool all) {
  progress_ = std::chrono::steady_clock::now();
  const bool was_sending = std::exchange(sending_, !all);
  if (was_sending != sending_) arm();
}

void SpeechCall::served() {
  permit_.end(ProviderGate::Outcome::served);
  tries_ = 0;
}

std::shared_ptr<SpeechCall> SpeechCall::leave() {
  auto self = shared_from_this();
  stop();
  calls_.running.erase(id_);
  return self;
}

void SpeechCall::refused() {
  const std::string sentence = quoted(quote_);
  if (mode_ == Mode::other) {
    fail(Errc::failed_precondition, false,
         fmt::format("answered with {} instead of mp3{}{}",
                     content_type_.empty() ? "no type of content" : quoted(content_type_),
                     sentence.empty() ? "" : ": ", sentence));
    return;
  }
  ModelFailure failure =
      refusal_of(calls_.provider.name, status_, sentence.empty() ? "" : quote_, key());
  failure.retry_after = retry_after_;
  fail(std::move(failure));
}

void SpeechCall::broken(const Error& error) {
  if (error.code == Errc::corrupted) {
    // The file's fault, which says nothing of the provider.
    permit_.end(ProviderGate::Outcome::unknown);
    finish(error);
  } else if (begun_) {
    fail(Errc::unavailable, true,
         fmt::format("cut its answer before it was complete ({})", quoted(error.detail)));
  } else {
    const bool transient = error.code == Errc::unavailable || error.code == Errc::deadline_exceeded;
    // A URL that is none is a mistake in the configuration, not of the caller.
    const Errc code = error.code == Errc::invalid_argument ? Errc::failed_precondition : error.code;
    fail(code, transient, fmt::format("gave no answer: {}", quoted(error.detail)));
  }
}

void SpeechCall::fail(Errc code, bool retryable, std::string_view what) {
  fail({code, fmt::format("provider {} {}", calls_.provider.name, what), retryable, {}});
}

void SpeechCall::fail(ModelFailure failure) {
  // A request that is refused for its own sake says that the provider works.
  permit_.end(failure.retryable ? ProviderGate::Outcome::failed : ProviderGate::Outcome::served);
  if (transfer_ != 0) calls_.loop.cancel(std::exchange(transfer_, 0));
  std::optional<milliseconds> delay;
  if (!begun_) delay = retry_delay(calls_.provider, failure, tries_, calls_.jitter());
  if (!delay) {
    finish({failure.code, std::move(failure.detail)});
    return;
  }
  metrics::get().model_retries.add();
  log::debug("speech is asked for again try={} in_ms={} detail={}", tries_ + 1, delay->count(),
             log::value(failure.detail));
  phase_ = Phase::waiting;
  again_ = calls_.loop.schedule(*delay, [this] {
    again_ = 0;
    enter();
  });
}

void SpeechCall::finish(Error error) {
  metrics::get().model_failures.add();
  const auto self = leave();
  tell(std::move(error));
}

std::string SpeechCall::quoted(std::string_view text) const {
  std::string sentence = error_sentence(text, key());
  return may_show(sentence) ? sentence : std::string();
}

milliseconds SpeechCall::patience() const {
  if (phase_ == Phase::queued) return options().queue_timeout;
  if (answers_otherwise()) return kTailTimeout;
  return begun_ || sending_ ? options().idle_timeout : options().first_byte_timeout;
}

SteadyTime SpeechCall::deadline() const {
  const SteadyTime last = started_ + options().call_timeout;
  return phase_ == Phase::waiting ? last : std::min(last, progress_ + patience());
}

/// Makes sure that the timer fires no later than the deadline. It may fire earlier: bytes move the
/// deadline far more often than it is reached.
void SpeechCall::arm() {
  const SteadyTime limit = deadline();
  if (timer_ != 0 && timer_at_ <= limit) return;
  if (timer_ != 0) calls_.loop.cancel_timer(timer_);
  timer_at_ = limit;
  const auto left = std::chrono::ceil<milliseconds>(limit - std::chrono::steady_clock::now());
  timer_ = calls_.loop.schedule(std::max(left, milliseconds(0)), [this] {
    timer_ = 0;
    take_timer();
  });
}

void SpeechCall::take_timer() {
  const auto self = shared_from_this();
  const SteadyTime now = std::chrono::steady_clock::now();
  const std::string& name = calls_.provider.name;
  if (now < deadline()) {
    arm();
    return;
  }
  if (now >= started_ + options().call_timeout) {
    permit_.end(ProviderGate::Outcome::failed);
    finish({Errc::deadline_exceeded, fmt::format("provider {} took longer than {} ms", name,
                                                 options().call_timeout.count())});
  } else if (phase_ == Phase::queued) {
    finish({Errc::resource_exhausted, fmt::format("provider {} had no place within {} ms", name,
                                                  options().queue_timeout.count())});
  } else if (answers_otherwise()) {
    refused();
  } else {
    fail(Errc::deadline_exceeded, true, silence());
  }
  // The next try is watched as well.
  if (phase_ != Phase::stopped) arm();
}

std::string SpeechCall::silence() const {
  const auto waited = patience().count();
  if (sending_) return fmt::format("took nothing of the recording for {} ms", waited);
  if (begun_) return fmt::format("sent nothing for {} ms in the middle of its answer", waited);
  return fmt::format("did not begin its answer within {} ms", waited);
}

}  // namespace parlance::llm
