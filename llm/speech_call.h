// One call of a speech client through its queue, its tries and its time limits, and what the calls
// of one client share. What is asked, and what becomes of the answer, is for the kinds of calls in
// speech_client.cpp, which is alone in including this. On the client's event loop's thread.
//
// Invariants: a call is in `running` until it ended, was cancelled or its client went. A callback
// keeps its call alive until it returns, and touches nothing that is shared after `tell` or the
// like: the client may be gone by then.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/clock.h"
#include "base/result.h"
#include "http/transfer_loop.h"
#include "llm/options.h"
#include "llm/provider.h"
#include "llm/provider_gate.h"

namespace parlance::llm {

class SpeechCall;

/// Owned by the client.
struct SpeechCalls {
  SpeechCalls(http::TransferLoop& on, SpeechOptions with, std::function<double()> draw);

  http::TransferLoop& loop;
  const SpeechOptions options;
  const std::string key;
  const ProviderOptions provider;  ///< Of the options, what all models share.
  const std::function<double()> jitter;
  const std::shared_ptr<ProviderGate> gate;
  std::unordered_map<std::uint64_t, std::shared_ptr<SpeechCall>> running;
  std::uint64_t last_id = 0;
};

class SpeechCall : public http::TransferHandler, public std::enable_shared_from_this<SpeechCall> {
 public:
  explicit SpeechCall(SpeechCalls& calls);
  SpeechCall(const SpeechCall&) = delete;
  SpeechCall& operator=(const SpeechCall&) = delete;
  ~SpeechCall() override { stop(); }

  std::uint64_t id() const { return id_; }
  /// Asks for a place and begins a try when there is one.
  void enter();
  /// Fails, but not from inside the function that it is called in.
  void refuse(Error error);
  /// Nothing happens any more.
  void stop();

  void on_head(const http::ResponseHead& head) override;
  void on_body(std::string_view bytes) override;
  void on_done(Status result) override;

 protected:
  virtual http::Request request() = 0;
  virtual bool accepts(std::string_view content_type) const = 0;
  virtual void take(std::string_view bytes) = 0;
  virtual void take_end() = 0;
  virtual void tell(Error error) = 0;
  /// Whether an upstream's sentence may be told: not what it repeats of the user's text.
  virtual bool may_show(std::string_view sentence) const = 0;

  const SpeechOptions& options() const { return calls_.options; }
  const std::string& key() const { return calls_.key; }
  /// A POST to `path` of the provider.
  http::Request request_to(std::string_view path) const;

  /// Some of the request's file went out.
  void sent(bool all);
  /// The end of the try: it was answered.
  void served();
  /// The end of the try: it failed.
  void fail(Errc code, bool retryable, std::string_view what);
  /// The end of the call, without a word. Keeps it alive for what is left to tell.
  std::shared_ptr<SpeechCall> leave();

 private:
  enum class Phase : unsigned char { queued, waiting, running, stopped };
  /// What comes back: nothing yet, the answer, a status other than 2xx, or another type of content.
  enum class Mode : unsigned char { none, answer, refusal, other };

  void place_answered();
  void run();
  void refused();
  void broken(const Error& error);
  void fail(ModelFailure failure);
  void finish(Error error);
  std::string quoted(std::string_view text) const;

  bool answers_otherwise() const { return mode_ == Mode::refusal || mode_ == Mode::other; }
  std::chrono::milliseconds patience() const;
  SteadyTime deadline() const;
  void arm();
  void take_timer();
  std::string silence() const;

  SpeechCalls& calls_;
  const std::uint64_t id_;
  const SteadyTime started_;
  SteadyTime progress_;  // When the queue was entered, or bytes last went either way.
  SteadyTime timer_at_;
  ProviderGate::Permit permit_;
  ProviderGate::Ticket ticket_ = 0;
  http::TransferId transfer_ = 0;
  http::TimerId timer_ = 0;  // For the deadline.
  http::TimerId again_ = 0;  // For the next try.
  int tries_ = 0;
  int status_ = 0;
  Phase phase_ = Phase::waiting;
  Mode mode_ = Mode::none;
  bool begun_ = false;    // A byte of the answer came.
  bool sending_ = false;  // Some of a file went out, and some did not.
  std::optional<std::chrono::milliseconds> retry_after_;
  std::string content_type_;
  std::string quote_;  // The start of what is no answer.
};

}  // namespace parlance::llm
