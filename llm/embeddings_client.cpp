#include "llm/embeddings_client.h"

#include <algorithm>
#include <deque>
#include <span>
#include <unordered_map>
#include <utility>
#include <variant>

#include <fmt/format.h>

#include "base/check.h"
#include "base/json.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/random.h"
#include "http/fetcher.h"
#include "llm/embeddings_wire.h"
#include "llm/openai_http.h"
#include "llm/openai_wire.h"
#include "llm/retry_policy.h"

namespace parlance::llm {
namespace {

using std::chrono::milliseconds;

/// A number as text with its comma, as generous as any server writes it.
constexpr std::size_t kNumberBytesMax = 28;
constexpr std::size_t kAnswerOverhead = 64 << 10;

double random_unit() {
  constexpr double kOneBy2To53 = 1.0 / 9007199254740992.0;
  return static_cast<double>(random_u64() >> 11) * kOneBy2To53;
}

}  // namespace

class EmbeddingsClient::Impl {
 public:
  Impl(http::TransferLoop& loop, EmbeddingsOptions options, std::function<double()> jitter)
      : loop_(loop),
        options_(options),
        jitter_(jitter ? std::move(jitter) : &random_unit),
        fetcher_(loop) {}
  ~Impl();

  EmbedId embed(const ProviderOptions& provider, std::string model, std::vector<std::string> texts,
                Done done);
  void cancel(EmbedId id);

 private:
  /// Some of a call's texts: one request, possibly more than once.
  struct Batch {
    std::size_t first = 0;
    std::size_t count = 0;
    int tries = 0;
    http::FetchId fetch = 0;  // While it is asked.
    http::TimerId timer = 0;  // While it waits to be tried again.
  };

  struct Call {
    ProviderOptions provider;
    std::string key;
    std::string model;
    std::vector<std::string> texts;
    std::size_t bytes = 0;
    Done done;
    http::TimerId deadline = 0;
    std::vector<Batch> batches;
    std::deque<std::size_t> unsent;  // Of `batches`.
    std::size_t open = 0;            // Batches without an answer.
    Embeddings vectors;
  };

  /// What goes to one base URL. A call that has batches to send is in `turns`, once.
  struct Lane {
    std::size_t in_flight = 0;
    std::deque<EmbedId> turns;
  };

  Status check(const Call& call) const;
  void divide(Call& call) const;
  void queue(EmbedId id, Call& call, std::size_t batch);
  void pump(Lane& lane);
  void send(EmbedId id, Call& call, std::size_t batch);
  void answered(EmbedId id, std::size_t batch, Result<http::Answer> answer);
  std::variant<Embeddings, ModelFailure> read(const Call& call, const Batch& batch,
                                              const http::Answer& answer) const;
  static std::variant<Embeddings, ModelFailure> unanswered(const Call& call, const Error& error);
  void failed(EmbedId id, Call& call, std::size_t batch, ModelFailure failure);
  void finish(EmbedId id, Result<Embeddings> result);
  /// Ends all that the call waits for.
  Call release(EmbedId id);

  http::TransferLoop& loop_;
  const EmbeddingsOptions options_;
  const std::function<double()> jitter_;
  http::Fetcher fetcher_;
  std::unordered_map<EmbedId, Call> calls_;
  std::unordered_map<std::string, Lane> lanes_;  // By base URL.
  std::size_t bytes_ = 0;                        // Of the texts of all calls.
  EmbedId last_id_ = 0;
};

EmbeddingsClient::Impl::~Impl() {
  for (const auto& [id, call] : calls_) {
    loop_.cancel_timer(call.deadline);
    for (const Batch& batch : call.batches) loop_.cancel_timer(batch.timer);
  }
}

EmbedId EmbeddingsClient::Impl::embed(const ProviderOptions& provider, std::string model,
                                      std::vector<std::string> texts, Done done) {
  const EmbedId id = ++last_id_;
  Call& call = calls_[id];
  call.provider = provider;
  call.key = trimmed_key(provider.api_key);
  call.model = std::move(model);
  call.texts = std::move(texts);
  call.done = std::move(done);
  const Status checked = check(call);
  if (!checked || call.texts.empty()) {
    Result<Embeddings> result = checked ? Result<Embeddings>(Embeddings()) : checked.error();
    call.deadline = loop_.schedule(milliseconds(0),
                                   [this, id, result = std::move(result)] { finish(id, result); });
    return id;
  }
  for (const std::string& text : call.texts) call.bytes += text.size();
  bytes_ += call.bytes;
  call.vectors.resize(call.texts.size());
  call.deadline = loop_.schedule(provider.call_timeout, [this, id] {
    const ProviderOptions& late = calls_.at(id).provider;
    finish(id, Error{Errc::deadline_exceeded,
                     fmt::format("provider {} took longer than {} ms for the embeddings", late.name,
                                 late.call_timeout.count())});
  });
  divide(call);
  for (std::size_t i = 0; i < call.batches.size(); ++i) queue(id, call, i);
  pump(lanes_[call.provider.base_url]);
  return id;
}

void EmbeddingsClient::Impl::cancel(EmbedId id) {
  if (!calls_.contains(id)) return;
  const Call ended = release(id);
  pump(lanes_[ended.provider.base_url]);
}

Status EmbeddingsClient::Impl::check(const Call& call) const {
  if (call.provider.kind == ProviderOptions::Kind::offline) {
    return Error{Errc::failed_precondition,
                 fmt::format("provider {} is offline and has no embeddings", call.provider.name)};
  }
  if (call.texts.size() > options_.texts_max) {
    return Error{Errc::invalid_argument,
                 fmt::format("{} texts to embed; at most {} are allowed at once", call.texts.size(),
                             options_.texts_max)};
  }
  std::size_t bytes = bytes_;
  for (std::size_t i = 0; i < call.texts.size(); ++i) {
    const std::string& text = call.texts[i];
    const char* flaw = nullptr;
    if (text.empty()) flaw = "is empty";
    if (text.size() > options_.text_bytes_max) flaw = "is too big";
    if (flaw == nullptr && !json::valid_utf8(text)) flaw = "is not UTF-8";
    if (flaw != nullptr) {
      return Error{Errc::invalid_argument,
                   fmt::format("text {} of {} to embed {}; 1 to {} bytes of UTF-8 are allowed",
                               i + 1, call.texts.size(), flaw, options_.text_bytes_max)};
    }
    bytes += text.size();
  }
  if (bytes > options_.waiting_bytes_max) {
    return Error{Errc::resource_exhausted,
                 fmt::format("more than {} bytes of text wait for their embeddings",
                             options_.waiting_bytes_max)};
  }
  return {};
}

void EmbeddingsClient::Impl::divide(Call& call) const {
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < call.texts.size(); ++i) {
    bytes += call.texts[i].size();
    const bool fits = !call.batches.empty() &&
                      call.batches.back().count < options_.batch_texts_max &&
                      bytes <= options_.batch_bytes_max;
    if (fits) {
      ++call.batches.back().count;
    } else {
      call.batches.push_back({i, 1});
      bytes = call.texts[i].size();
    }
  }
  call.open = call.batches.size();
}

void EmbeddingsClient::Impl::queue(EmbedId id, Call& call, std::size_t batch) {
  call.unsent.push_back(batch);
  // Once for each call: it goes behind the others again when its turn has come.
  if (call.unsent.size() == 1) lanes_[call.provider.base_url].turns.push_back(id);
}

void EmbeddingsClient::Impl::pump(Lane& lane) {
  while (lane.in_flight < options_.in_flight_max && !lane.turns.empty()) {
    const EmbedId id = lane.turns.front();
    lane.turns.pop_front();
    const auto found = calls_.find(id);
    if (found == calls_.end()) continue;
    Call& call = found->second;
    const std::size_t batch = call.unsent.front();
    call.unsent.pop_front();
    if (!call.unsent.empty()) lane.turns.push_back(id);
    ++lane.in_flight;
    send(id, call, batch);
  }
}

void EmbeddingsClient::Impl::send(EmbedId id, Call& call, std::size_t at) {
  Batch& batch = call.batches[at];
  ++batch.tries;
  http::Request request;
  request.url = endpoint_url(call.provider.base_url, "/embeddings");
  request.headers = {"Content-Type: application/json", "Accept: application/json"};
  if (!call.key.empty()) request.headers.push_back("Authorization: Bearer " + call.key);
  request.body = encode_embeddings_request(call.model,
                                           std::span(call.texts).subspan(batch.first, batch.count));
  request.connect_timeout = call.provider.connect_timeout;
  request.ca_file = call.provider.ca_file;
  const http::FetchLimits limits{
      call.provider.first_token_timeout,
      batch.count * options_.dimensions_max * kNumberBytesMax + kAnswerOverhead};
  batch.fetch = fetcher_.fetch(
      std::move(request), limits,
      [this, id, at](Result<http::Answer> answer) { answered(id, at, std::move(answer)); });
}

void EmbeddingsClient::Impl::answered(EmbedId id, std::size_t at, Result<http::Answer> answer) {
  Call& call = calls_.at(id);
  Batch& batch = call.batches[at];
  batch.fetch = 0;
  Lane& lane = lanes_[call.provider.base_url];
  --lane.in_flight;
  auto outcome = answer ? read(call, batch, *answer) : unanswered(call, answer.error());
  if (auto* failure = std::get_if<ModelFailure>(&outcome)) {
    failed(id, call, at, std::move(*failure));
    return;
  }
  auto& vectors = std::get<Embeddings>(outcome);
  std::move(vectors.begin(), vectors.end(),
            call.vectors.begin() + static_cast<std::ptrdiff_t>(batch.first));
  if (--call.open > 0) {
    pump(lane);
    return;
  }
  const std::size_t dimensions = call.vectors[0].size();
  const bool same = std::all_of(call.vectors.begin(), call.vectors.end(),
                                [&](const auto& vector) { return vector.size() == dimensions; });
  if (!same) {
    finish(id, Error{Errc::failed_precondition,
                     fmt::format("provider {} answered with vectors of different lengths",
                                 call.provider.name)});
    return;
  }
  finish(id, std::move(call.vectors));
}

std::variant<Embeddings, ModelFailure> EmbeddingsClient::Impl::read(
    const Call& call, const Batch& batch, const http::Answer& answer) const {
  if (answer.status < 200 || answer.status > 299) {
    ModelFailure refusal = refusal_of(call.provider.name, answer.status, answer.body, call.key);
    refusal.retry_after = parse_retry_after(answer.retry_after, wall_now());
    return refusal;
  }
  auto vectors = decode_embeddings(answer.body, batch.count, options_.dimensions_max, call.key);
  if (vectors) return std::move(*vectors);
  const Error error = vectors.error();
  return ModelFailure{error.code, fmt::format("provider {} {}", call.provider.name, error.detail),
                      error.code == Errc::unavailable, std::nullopt};
}

std::variant<Embeddings, ModelFailure> EmbeddingsClient::Impl::unanswered(const Call& call,
                                                                          const Error& error) {
  const bool transient = error.code == Errc::unavailable || error.code == Errc::deadline_exceeded;
  // A URL that is none is a mistake in the configuration, not in the texts.
  const Errc code = error.code == Errc::invalid_argument ? Errc::failed_precondition : error.code;
  return ModelFailure{code,
                      fmt::format("provider {} gave no embeddings: {}", call.provider.name,
                                  error_sentence(error.detail, call.key)),
                      transient, std::nullopt};
}

void EmbeddingsClient::Impl::failed(EmbedId id, Call& call, std::size_t at, ModelFailure failure) {
  Batch& batch = call.batches[at];
  const auto delay = retry_delay(call.provider, failure, batch.tries, jitter_());
  if (!delay) {
    finish(id, Error{failure.code, std::move(failure.detail)});
    return;
  }
  metrics::get().model_retries.add();
  log::debug("embeddings are asked for again provider={} try={} in_ms={} detail={}",
             call.provider.name, batch.tries + 1, delay->count(), log::value(failure.detail));
  batch.timer = loop_.schedule(*delay, [this, id, at] {
    Call& waiting = calls_.at(id);
    waiting.batches[at].timer = 0;
    queue(id, waiting, at);
    pump(lanes_[waiting.provider.base_url]);
  });
  pump(lanes_[call.provider.base_url]);
}

void EmbeddingsClient::Impl::finish(EmbedId id, Result<Embeddings> result) {
  const Call ended = release(id);
  pump(lanes_[ended.provider.base_url]);
  // The client may be gone when this returns.
  ended.done(std::move(result));
}

EmbeddingsClient::Impl::Call EmbeddingsClient::Impl::release(EmbedId id) {
  const auto found = calls_.find(id);
  CHECK(found != calls_.end());
  Call call = std::move(found->second);
  calls_.erase(found);
  bytes_ -= call.bytes;
  loop_.cancel_timer(call.deadline);
  for (const Batch& batch : call.batches) {
    loop_.cancel_timer(batch.timer);
    if (batch.fetch == 0) continue;
    fetcher_.cancel(batch.fetch);
    --lanes_[call.provider.base_url].in_flight;
  }
  return call;
}

EmbeddingsClient::EmbeddingsClient(http::TransferLoop& loop, EmbeddingsOptions options,
                                   std::function<double()> jitter)
    : impl_(std::make_unique<Impl>(loop, options, std::move(jitter))) {}

EmbeddingsClient::~EmbeddingsClient() = default;

EmbedId EmbeddingsClient::embed(const ProviderOptions& provider, std::string model,
                                std::vector<std::string> texts, Done done) {
  return impl_->embed(provider, std::move(model), std::move(texts), std::move(done));
}

void EmbeddingsClient::cancel(EmbedId call) {
  impl_->cancel(call);
}

}  // namespace parlance::llm
