// What all calls of an OpenAI-compatible HTTP API share: addresses, keys, and what its status codes
// mean. Pure.
#pragma once

#include <string>
#include <string_view>

#include "llm/provider.h"

namespace parlance::llm {

/// The address of `path` ("/embeddings"). `base_url` may end in slashes, and may name the endpoint
/// of the chat completions itself.
std::string endpoint_url(std::string base_url, std::string_view path);

/// An API key as it is sent: files end in a line feed.
std::string trimmed_key(std::string_view key);

/// What an answer with a status other than 2xx means; `body` is quoted as error_sentence does.
ModelFailure refusal_of(std::string_view provider, int status, std::string_view body,
                        std::string_view key);

}  // namespace parlance::llm
