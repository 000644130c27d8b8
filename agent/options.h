// What the agent is told and how far it may go.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

namespace parlance::agent {

/// One tool of a stack: it answers the queries that its role fits.
struct StackTool {
  enum class Kind : unsigned char {
    prompt,  ///< Answers with its model alone.
    rag,     ///< Answers from the session's documents.
  };
  std::string name;  ///< Unique in its stack.
  std::string role;  ///< What it is for, in words; read by the decision maker and by its own model.
  Kind kind = Kind::prompt;
  std::string provider;    ///< Its model: a name of llm::Options::named; empty: the default ones.
  std::string embeddings;  ///< rag: the model that embeds; empty: offline, by feature hashing.
  std::size_t depth = 5;   ///< rag: passages that an answer is made from.
};

/// What answers the queries of a session that a client authorized: tools, and who picks one.
struct Stack {
  bool decides_by_model = false;  ///< Else the tool is picked by the score of what was retrieved.
  std::string decision_provider;  ///< As StackTool::provider.
  std::string decision_role;      ///< What the decision maker is told of its task.
  std::vector<StackTool> tools = {{"general_queries",
                                   "answer any question that the documents do not answer",
                                   StackTool::Kind::prompt,
                                   {},
                                   {}},
                                  {"document_tool",
                                   "answer questions from the documents that the user stored",
                                   StackTool::Kind::rag,
                                   {},
                                   {}}};
};

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
