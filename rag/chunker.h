// Cuts a document's text into passages: what is embedded, indexed and quoted as one.
// Pure; any thread. Linear in the length of the text.
//
// A token is a run of up to eight letters, digits and marks (a longer word counts as several), or
// one other visible character. That is near what models count, and needs no model's vocabulary.
//
// Invariants: passages are in order, cover every visible character, and neither begin nor end with
// white space. Each has at most `passage_tokens` tokens and kPassageBytesMax bytes. Borders are
// those of sentences (Unicode's, and the Arabic semicolon); inside a sentence that is too long for
// a passage, of words; inside a word that is too long, of characters as readers see them (grapheme
// clusters); only one too long for a passage is cut between code points.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "rag/options.h"

namespace parlance::rag {

inline constexpr std::size_t kPassageBytesMax = 16'384;

/// A part of a text: byte offsets on borders of code points.
struct Span {
  std::size_t begin = 0;
  std::size_t end = 0;
  friend bool operator==(const Span&, const Span&) = default;
};

/// `text` as passages that share up to `overlap_tokens` (at most half a passage) in whole
/// sentences. `text` must be valid UTF-8 of less than 2 GiB. White space alone gives none.
std::vector<Span> cut_into_passages(std::string_view text, const Options& options);

}  // namespace parlance::rag
