// The terms of a text: what it is found by, in words. Pure; any thread.
//
// A term is the stem of a word (Xapian's stemmers; English or Arabic by the word's script, other
// scripts as they are), in one spelling: compatibility forms and case folded, Arabic without vowel
// marks and the stretching line, one alef for all its forms, digits as 0 to 9. Stop words of both
// languages (function words, and words of talk itself such as "hello" or "tell me") are no terms.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace parlance::rag {

struct Term {
  std::string text;
  std::uint32_t count = 0;
  friend bool operator==(const Term&, const Term&) = default;
};

/// The terms of `text`, each once, in the order of their bytes. `text` must be valid UTF-8.
std::vector<Term> terms_in(std::string_view text);

/// The same as bytes to be kept: a serialised Xapian document. An index is made again from these
/// without stemming anything.
std::string terms_of(std::string_view text);

/// What terms_of made. Errors: corrupted.
Result<std::vector<Term>> read_terms(std::string_view bytes);

}  // namespace parlance::rag
