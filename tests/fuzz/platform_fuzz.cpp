// Bodies, queries and headers of the agent platform through its parsers. What is accepted is valid
// text within its limits, and what is answered is valid JSON.

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/check.h"
#include "base/json.h"
#include "base/nfc.h"
#include "base/uuid.h"
#include "dialects/platform.h"
#include "dialects/platform_messages.h"

using namespace parlance;
using dialects::Problem;
namespace platform = dialects::platform;

namespace {

constexpr std::size_t kTextMax = 200;

template <class Parsed>
bool is_problem(const Parsed& parsed) {
  const auto* problem = std::get_if<Problem>(&parsed);
  if (problem == nullptr) return false;
  CHECK(problem->status == 400 || problem->status == 422);
  CHECK(json::parse(dialects::to_json(*problem, "r")).has_value());
  return true;
}

void check_text(const std::string& text) {
  CHECK(json::valid_utf8(text));
  CHECK(to_nfc(text) == text);
}

void check_agent(std::string_view body) {
  const auto parsed = platform::parse_agent(body);
  if (is_problem(parsed)) return;
  Agent agent;
  agent.settings = std::get<AgentSettings>(parsed);
  check_text(agent.settings.name);
  check_text(agent.settings.prompt);
  CHECK(!agent.settings.name.empty());
  // NFC of a text within its limit may be longer, but is told as any other.
  const auto told = json::parse(platform::agent_json(agent));
  CHECK(told.has_value());
}

void check_session(std::string_view body) {
  const auto parsed = platform::parse_session(body);
  if (is_problem(parsed)) return;
  PlatformSession session;
  session.settings = std::get<PlatformSessionSettings>(parsed);
  CHECK(session.settings.metadata.size() <= platform::kMetadataBytesMax);
  CHECK(is_uuid(session.settings.agent.text));
  const std::string told = platform::session_json(session);
  CHECK(json::parse(told).has_value());
  // Kept and given again, the metadata stays what it is.
  const auto again = platform::parse_session(R"({"agent_id":")" + session.settings.agent.text +
                                             R"(","metadata":)" + session.settings.metadata + "}");
  CHECK(std::get<PlatformSessionSettings>(again).metadata == session.settings.metadata);
}

void check_message(std::string_view body) {
  const auto parsed = platform::parse_text_message(body, kTextMax);
  if (!is_problem(parsed)) {
    const auto& message = std::get<platform::TextMessage>(parsed);
    CHECK(is_uuid(message.session.text));
    CHECK(!message.text.empty());
    CHECK(message.text.size() <= kTextMax);
    check_text(message.text);
    const RecordedEvent event{{1, 1}, {0}, MessageAccepted{{"m"}, message.text, {}, {}}};
    const auto told = platform::user_message(message.session, event);
    CHECK(json::parse(platform::message_json(message.session, told)).has_value());
  }
  is_problem(platform::parse_retry(body));
}

void check_small(std::string_view text) {
  is_problem(platform::parse_range(text, {}));
  is_problem(platform::parse_range({}, text));
  is_problem(platform::parse_conversation_range(text, {}));
  is_problem(platform::parse_conversation_range({}, text));
  is_problem(platform::parse_agent_filter(text));
  is_problem(platform::parse_cascade(text));
  const auto condition = platform::parse_if_match(text);
  if (is_problem(condition)) return;
  for (const std::uint64_t version : std::get<platform::VersionCondition>(condition).versions) {
    CHECK(text.find(platform::etag_of(version)) != std::string_view::npos);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check_agent(text);
  check_session(text);
  check_message(text);
  check_small(text);
  return 0;
}
