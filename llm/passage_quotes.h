// What of a question's passages answers it, as sentences to be quoted: the offline provider's way
// of answering from documents. Words are compared by their first letters, Arabic ones without the
// article; stop words do not count. Pure; any thread. Reads at most kPassagesReadMax bytes.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "schemas/model_call.h"

namespace parlance::llm {

inline constexpr std::size_t kPassagesReadMax = 65'536;

struct PassageQuote {
  const ModelPassage* passage = nullptr;
  std::string_view sentence;  ///< Of its text.
};

/// At most three sentences, best first. None when no passage has a third of the question's words.
std::vector<PassageQuote> quote_passages(const std::vector<ModelPassage>& passages,
                                         std::string_view question);

}  // namespace parlance::llm
