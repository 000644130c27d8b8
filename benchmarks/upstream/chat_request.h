#pragma once
// The part of a chat completions request that the simulated upstream looks at.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace parlance::benchmarks {

struct ChatRequest {
  std::string model;
  bool stream = false;
  bool include_usage = false;
  std::optional<uint32_t> tokens_max;
  std::string last_content;  // the text of the last message, its text parts joined
  bool last_is_tool = false;
  uint64_t prompt_tokens = 0;  // estimated: four bytes of content each
};

/// Throws std::invalid_argument with the sentence that goes into the error's "message".
ChatRequest parse_chat_request(std::string_view body);

}  // namespace parlance::benchmarks
