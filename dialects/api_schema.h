// What the bodies of the agent platform must look like: the JSON Schemas of schemas/api, which are
// also those of the API's documents. RapidJSON's validator says whether a body is valid; where it
// is not, this finds every member that is wrong and says so in sentences.
//
// Any thread. The schemas are compiled once for each thread that uses them: RapidJSON's patterns
// write into themselves while they match.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/json.h"
#include "dialects/problem.h"

namespace parlance::dialects {

enum class ApiBody : std::uint8_t { agent_input, session_input, text_message_input, retry_input };

/// More errors of one body than this are not told.
inline constexpr std::size_t kFieldErrorsMax = 32;

/// Everything that is wrong with `body`, each with a pointer into it; empty for a valid body.
/// Optional members of a valid body may be null, which means the same as absent. A sentence repeats
/// nothing of the body but the names of its members.
std::vector<FieldError> validate(ApiBody kind, const rapidjson::Value& body);

/// Compiles the schemas for this thread now and not with its first body.
void prepare_api_schemas();

}  // namespace parlance::dialects
