// Bodies of the agent platform through their schemas. What is accepted has the members that the
// endpoints rely on, and what is refused is refused in bounded, well-formed sentences.

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/check.h"
#include "base/json.h"
#include "dialects/api_schema.h"

using namespace parlance;
using dialects::ApiBody;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto document = json::parse({reinterpret_cast<const char*>(data), size});
  if (!document) return 0;
  for (const ApiBody kind : {ApiBody::agent_input, ApiBody::session_input,
                             ApiBody::text_message_input, ApiBody::retry_input}) {
    const auto errors = dialects::validate(kind, *document);
    CHECK(errors.size() <= dialects::kFieldErrorsMax);
    const std::string told = dialects::to_json(dialects::invalid_body(errors), "r");
    CHECK(json::parse(told).has_value());
    CHECK(told.size() < 64 << 10);
    if (!errors.empty()) continue;
    CHECK(document->IsObject());
    if (kind == ApiBody::agent_input) {
      CHECK(json::find_string(*document, "name") != nullptr);
      CHECK(json::find_string(*document, "prompt") != nullptr);
    } else if (kind != ApiBody::session_input) {
      CHECK(json::view(*json::find_string(*document, "session_id")).size() == 36);
    } else {
      CHECK(json::view(*json::find_string(*document, "agent_id")).size() == 36);
    }
  }
  return 0;
}
