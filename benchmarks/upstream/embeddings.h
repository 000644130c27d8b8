#pragma once
// The simulated embedding model: each word sets a few coordinates, so texts with words in common
// are near each other, and the same text always has the same vector.

#include <string>
#include <string_view>
#include <vector>

namespace parlance::benchmarks {

/// A vector of length 1. `dimensions` must be at least 1.
std::vector<float> embed(std::string_view text, size_t dimensions);

/// The answer to a request body of `POST /v1/embeddings`, encoded as floats or base64 as it asks.
/// Throws std::invalid_argument with the sentence that goes into the error's "message".
std::string embeddings_body(std::string_view request_body);

}  // namespace parlance::benchmarks
