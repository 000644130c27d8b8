// Bodies and frames of the KISS stack through its parsers. What is accepted is valid text within
// its limits, and what is answered is valid JSON.

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/check.h"
#include "base/json.h"
#include "dialects/kiss.h"
#include "dialects/kiss_answer.h"
#include "dialects/kiss_documents.h"

using namespace parlance;
using dialects::Problem;
namespace kiss = dialects::kiss;

namespace {

const SessionId kClient{"c"};
constexpr std::size_t kTextMax = 200;

void check_json(const std::string& text) {
  CHECK(json::parse(text).has_value());
  CHECK(text.find('\n') == std::string::npos);
}

template <class Parsed>
bool is_problem(const Parsed& parsed) {
  const auto* problem = std::get_if<Problem>(&parsed);
  if (problem == nullptr) return false;
  CHECK(problem->status >= 400);
  CHECK(problem->status < 500);
  check_json(dialects::to_json(*problem, "r"));
  check_json(kiss::error_frame("ON_STORE", *problem));
  return true;
}

void check_documents(std::string text, std::size_t begin, std::size_t bytes) {
  const kiss::DocumentLimits limits{
      .documents_max = 3, .metadata_bytes_max = 100, .metadata_depth_max = 4};
  int drawn = 0;
  const auto draw = [&] { return "drawn " + std::to_string(++drawn); };
  const auto parsed = kiss::parse_documents(text, begin, bytes, draw, limits);
  if (is_problem(parsed)) return;
  const auto& documents = std::get<StoreDocuments>(parsed).documents;
  CHECK(!documents.empty());
  CHECK(documents.size() <= limits.documents_max);
  for (const NewDocument& document : documents) {
    CHECK(!document.content.empty());
    CHECK(document.is_file || json::valid_utf8(document.content));
    CHECK(document.id.size() <= kDocumentIdBytesMax);
    CHECK(document.name.size() <= kDocumentNameBytesMax);
    CHECK(document.metadata.size() <= limits.metadata_bytes_max);
    const auto metadata = json::parse(document.metadata);
    CHECK(metadata.has_value());
    CHECK(metadata->IsObject());
    check_json(kiss::documents_answer(kClient, {{document.name}, {document.id}}));
  }
}

void check_frame(std::string_view text) {
  const auto parsed = kiss::parse_frame(text);
  if (const auto* bad = std::get_if<kiss::BadFrame>(&parsed)) {
    check_json(kiss::error_frame(bad->event, bad->problem));
    return;
  }
  const auto& frame = std::get<kiss::ClientFrame>(parsed);
  CHECK(frame.data_begin + frame.data_bytes <= text.size());
  check_documents(std::string(text), frame.data_begin, frame.data_bytes);
}

void check_action_output(std::string_view text) {
  const MessageId message{"m"};
  kiss::RunReader run(message);
  StepRecorded step{message, StepType::action, {}, {}, {}};
  step.tool_results.push_back({"1", "docs", json::to_valid_utf8(text), false});
  run.add({{1, 1}, {0}, step});
  run.add({{1, 2}, {0}, RunEnded{message, RunOutcome::completed, {}}});
  const auto answer = run.answer(kClient, "q", {});
  check_json(std::get<std::string>(answer));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  is_problem(kiss::parse_auth(text));
  const auto session = kiss::parse_session(text, kClient, kTextMax);
  if (!is_problem(session)) {
    check_json(
        kiss::session_answer(kClient, kiss::Action::init, std::get<kiss::SessionRequest>(session)));
  }
  const auto query = kiss::parse_query(text, kTextMax);
  if (!is_problem(query)) {
    const std::string& asked = std::get<kiss::QueryRequest>(query).query;
    CHECK(!asked.empty());
    CHECK(asked.size() <= kTextMax);
    CHECK(json::valid_utf8(asked));
  }
  check_frame(text);
  check_documents(std::string(text), 0, text.size());
  check_action_output(text);
  return 0;
}
