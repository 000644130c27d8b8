// Vectors of texts without a model: signed feature hashing of the text's terms (terms.h) and of the
// trigrams inside them, each counted sub-linearly, of length 1. Texts that share words, or words
// that share their letters, are near each other; meaning is not known.
// Pure; any thread. The same text gives the same vector in every build (hash.h), so vectors may be
// kept; a change here needs them made again.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

namespace parlance::rag {

inline constexpr std::size_t kHashedDimensions = 512;

/// `text` must be valid UTF-8. Without any term all numbers are 0: such a text is near nothing.
std::vector<float> embed_by_hashing(std::string_view text);

}  // namespace parlance::rag
