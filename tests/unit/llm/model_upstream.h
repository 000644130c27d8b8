// What a model upstream says, over the scripted upstream of http/, and a sink that keeps what a
// provider tells. Header-only.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "llm/provider.h"
#include "tests/unit/http/scripted_upstream.h"

namespace parlance::llm::test {

using namespace http::test;

/// A whole event stream in HTTP chunks, so that the connection can be used again.
inline std::string chunked_stream(const std::vector<std::string>& events) {
  std::string out =
      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const std::string& event : events) {
    char size[20];
    std::snprintf(size, sizeof size, "%zx\r\n", event.size());
    out += size + event + "\r\n";
  }
  return out + "0\r\n\r\n";
}

inline std::string text_event(std::string_view text) {
  return R"(data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m",)"
         R"("choices":[{"index":0,"delta":{"content":")" +
         std::string(text) + R"("},"finish_reason":null}],"usage":null})" + "\n\n";
}

inline std::string finish_event(std::string_view reason) {
  return R"(data: {"id":"c1","choices":[{"index":0,"delta":{},"finish_reason":")" +
         std::string(reason) + "\"}]}\n\n";
}

inline std::string usage_event(int tokens_in, int tokens_out) {
  return R"(data: {"id":"c1","choices":[],"usage":{"prompt_tokens":)" + std::to_string(tokens_in) +
         R"(,"completion_tokens":)" + std::to_string(tokens_out) + ",\"total_tokens\":0}}\n\n";
}

inline constexpr const char* kDoneEvent = "data: [DONE]\n\n";

/// A short answer, "Hello, world".
inline std::vector<std::string> hello_events() {
  return {text_event("Hello"), text_event(", world"), finish_event("stop"), usage_event(3, 2),
          kDoneEvent};
}

/// Keeps what it hears of one call.
class RecordingSink final : public ModelSink {
 public:
  void on_text(CallId /*call*/, std::string_view delta) override {
    ++deltas;
    text += delta;
    if (when_text) when_text();
  }
  void on_finished(CallId /*call*/, ModelAnswer last) override {
    answers.push_back(std::move(last));
  }
  void on_failed(CallId /*call*/, ModelFailure failure) override {
    failures.push_back(std::move(failure));
  }
  std::size_t ends() const { return answers.size() + failures.size(); }

  std::function<void()> when_text;
  std::string text;
  int deltas = 0;
  std::vector<ModelAnswer> answers;
  std::vector<ModelFailure> failures;
};

inline std::shared_ptr<const ModelRequest> ask(std::string text) {
  ModelRequest request;
  request.messages.push_back({Role::user, std::move(text), {}, {}});
  return std::make_shared<const ModelRequest>(std::move(request));
}

}  // namespace parlance::llm::test
