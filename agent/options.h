// What the agent is told and how far it may go.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

namespace parlance::agent {

struct Options {
  /// The system message of every model call.
  std::string instructions =
      "You are a helpful assistant. Answer in the language of the question. "
      "Use a tool when it gives a better answer than you can.";
  bool tools = true;                    ///< False: the model is told of no tools.
  int steps_max = 8;                    ///< Model calls per run.
  std::uint64_t tokens_max = 200'000;   ///< Tokens per run, in and out, over all its calls.
  std::uint64_t answer_tokens_max = 0;  ///< Tokens per model call; 0: the provider's default.
  int restarts_max = 2;                 ///< Times a call cut in mid-answer is started anew.
  std::chrono::milliseconds run_timeout{900'000};  ///< A whole run.
  std::chrono::milliseconds tool_timeout{30'000};  ///< One step's tools, all of them.
  std::size_t tool_output_bytes_max = 64 << 10;    ///< Longer output is cut, and says so.
  std::size_t history_bytes_max = 64 << 10;        ///< Of earlier messages sent to the model.
};

}  // namespace parlance::agent
