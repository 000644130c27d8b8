// A client's frame and the bodies of the HTTP routes through the step stream's parsers. What is
// accepted is valid text within its limits, and what is answered is valid JSON.

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/check.h"
#include "base/json.h"
#include "dialects/step_stream.h"

using namespace parlance;
namespace step_stream = dialects::step_stream;

namespace {

constexpr step_stream::Limits kLimits{.message_bytes_max = 200, .ping_bytes_max = 50};

void check_message(const SubmitMessage& command) {
  CHECK(!command.text.empty());
  CHECK(command.text.size() <= kLimits.message_bytes_max);
  CHECK(json::valid_utf8(command.text));
  CHECK(command.message_id.text.empty() || step_stream::valid_message_id(command.message_id.text));
}

void check_json(const std::string& text) {
  CHECK(json::parse(text).has_value());
  CHECK(text.find('\n') == std::string::npos);
}

void check_problem(const dialects::Problem& problem) {
  CHECK(problem.status == 400 || problem.status == 422);
  check_json(dialects::to_json(problem, "r"));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);

  const step_stream::ClientFrame frame = step_stream::parse_frame(text, kLimits);
  std::string out;
  if (const auto* command = std::get_if<SubmitMessage>(&frame)) {
    check_message(*command);
    CHECK(!command->message_id.text.empty());
    step_stream::append_recorded(
        out, "c",
        {{1, 2}, {3}, MessageAccepted{command->message_id, command->text, OnBusy::queue}});
    check_json(out);
  } else if (const auto* ping = std::get_if<step_stream::Ping>(&frame)) {
    step_stream::append_pong(out, "c", ping->data);
    check_json(out);
  } else if (const auto* bad = std::get_if<step_stream::BadFrame>(&frame)) {
    step_stream::append_error(out, "c", bad->error, bad->message_id);
    check_json(out);
  }

  const auto submit = step_stream::parse_submit_body(text, kLimits);
  if (const auto* command = std::get_if<SubmitMessage>(&submit)) check_message(*command);
  if (const auto* problem = std::get_if<dialects::Problem>(&submit)) check_problem(*problem);
  const auto cancel = step_stream::parse_cancel_body(text);
  if (const auto* problem = std::get_if<dialects::Problem>(&cancel)) check_problem(*problem);
  const auto run = step_stream::parse_run_body(text, kLimits);
  if (const auto* problem = std::get_if<dialects::Problem>(&run)) check_problem(*problem);
  return 0;
}
