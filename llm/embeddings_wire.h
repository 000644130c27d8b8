// The JSON of OpenAI-compatible embeddings: texts as a body, and an answer as vectors. Pure.
// Source: openai/openai-openapi, CreateEmbedding{Request,Response}.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace parlance::llm {

/// `texts` must be valid UTF-8.
std::string encode_embeddings_request(std::string_view model, std::span<const std::string> texts);

/// The vectors of `count` texts in their order, each of length 1. Errors: unavailable (not JSON),
/// failed_precondition (JSON that is not one vector for each text, all of the same dimensions,
/// at most `dimensions_max`, of finite numbers and not zero; or an error object, which is quoted
/// without `secret`).
Result<std::vector<std::vector<float>>> decode_embeddings(std::string_view body, std::size_t count,
                                                          std::size_t dimensions_max,
                                                          std::string_view secret);

}  // namespace parlance::llm
