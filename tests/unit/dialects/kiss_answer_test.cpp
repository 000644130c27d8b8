#include "dialects/kiss_answer.h"

#include <limits>
#include <string>

#include <catch2/catch.hpp>

using namespace parlance;
using namespace parlance::dialects;

namespace {

const SessionId some_client{"c-1"};
const MessageId message_id{"m"};

RecordedEvent recorded(Event event) {
  return {{1, 1}, {0}, std::move(event)};
}

StepRecorded planned(std::string tool) {
  return {message_id, StepType::planning, "", {{"1", std::move(tool), "{}"}}, {}};
}

StepRecorded acted(std::string output) {
  return {message_id, StepType::action, "", {}, {{"1", "docs", std::move(output)}}};
}

StepRecorded answered(std::string text) {
  return {message_id, StepType::final_answer, std::move(text), {}, {}};
}

kiss::RunReader read(std::vector<Event> events) {
  kiss::RunReader reader(message_id);
  for (Event& event : events) reader.add(recorded(std::move(event)));
  return reader;
}

std::string text(const kiss::RunReader& reader, std::vector<PassageText> passages = {}) {
  auto answer = reader.answer(some_client, "q", passages);
  if (const auto* problem = std::get_if<Problem>(&answer)) FAIL(problem->detail);
  return std::get<std::string>(answer);
}

int status(const kiss::RunReader& reader) {
  auto answer = reader.answer(some_client, "q", {});
  const auto* problem = std::get_if<Problem>(&answer);
  return problem == nullptr ? 200 : problem->status;
}

constexpr auto kFound =
    R"({"passages":[{"id":"1-17","document_id":"d","name":"d.txt","begin":0,"end":4000,"score":0.03,)"
    R"("distance":0.21,"relevance":0.8},{"id":"2-0","document_id":"e","name":"e","begin":5,"end":9,)"
    R"("score":1,"distance":0}],"embeddings":"offline feature hashing"})";

}  // namespace

TEST_CASE("the answer of a prompt tool has no passages") {
  const auto reader = read(
      {planned("general"), answered("hi"), RunEnded{message_id, RunOutcome::completed, {3, 4}}});
  CHECK(text(reader) ==
        R"({"stack_id":"c-1","result":"hi","extras":{"query":"q","tool":"general","metadata":[],)"
        R"("distances":[],"supporting_documents":[],)"
        R"("usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7},"message_id":"m"}})");
}

TEST_CASE("the answer of a rag tool names its passages") {
  const auto reader = read({planned("docs"), acted(kFound), answered("it is so"),
                            RunEnded{message_id, RunOutcome::completed, {}}});
  CHECK(reader.passages() == std::vector<PassageId>{{1, 17}, {2, 0}});
  PassageText first;
  first.id = {1, 17};
  first.metadata = R"({"k":1})";
  first.text = "the text";
  CHECK(text(reader, {first}) ==
        R"({"stack_id":"c-1","result":"it is so","extras":{"query":"q","tool":"docs",)"
        R"("metadata":[{"k":1},{}],"distances":[0.21,0],"supporting_documents":[)"
        R"({"id":"1-17","document_id":"d","name":"d.txt","span":[0,4000],"score":0.03,)"
        R"("distance":0.21,"text":"the text"},)"
        R"({"id":"2-0","document_id":"e","name":"e","span":[5,9],"score":1,"distance":0,)"
        R"("text":null}],"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0},)"
        R"("embeddings":"offline feature hashing","message_id":"m"}})");
}

TEST_CASE("a long passage is told by reference") {
  const auto reader = read({planned("docs"), acted(kFound), answered("a"),
                            RunEnded{message_id, RunOutcome::completed, {}}});
  PassageText passage;
  passage.id = {1, 17};
  passage.text.assign(kiss::kPassageInlineBytesMax, 'x');
  CHECK(text(reader, {passage}).find("xxxx") != std::string::npos);
  passage.text += 'x';
  const std::string answer = text(reader, {passage});
  CHECK(answer.find("xxxx") == std::string::npos);
  CHECK(answer.find(R"("text":null,"bytes":4097,"href":"/passages/1-17"})") != std::string::npos);
}

TEST_CASE("events of other messages are ignored") {
  kiss::RunReader reader(message_id);
  CHECK_FALSE(reader.add(recorded(RunEnded{MessageId{"other"}, RunOutcome::completed, {}})));
  CHECK_FALSE(reader.add(recorded(LifecycleChanged{})));
  CHECK(reader.add(recorded(RunEnded{message_id, RunOutcome::completed, {}})));
  CHECK(reader.ended());
}

TEST_CASE("a run that failed is an error with its own status") {
  CHECK(status(read({RunFailed{message_id, "the model is down", Errc::unavailable, {}}})) == 503);
  CHECK(status(read({RunFailed{message_id, "too long", Errc::deadline_exceeded, {}}})) == 504);
  CHECK(status(read({RunFailed{message_id, "a bug", Errc::internal, {}}})) == 500);
}

TEST_CASE("a run that was cancelled is 409") {
  CHECK(status(read({RunEnded{message_id, RunOutcome::cancelled, {}}})) == 409);
}

TEST_CASE("a run without an end in the log was erased by a close: 409") {
  CHECK(status(read({planned("docs")})) == 409);
}

TEST_CASE("an action that is not of the retrieval names no passage") {
  const char* const output = GENERATE("", "no", "[]", "{}", R"({"passages":1})",
                                      R"({"passages":[1,{},{"id":"x"},{"id":7}]})");
  CAPTURE(output);
  const auto reader =
      read({planned("docs"), acted(output), RunEnded{message_id, RunOutcome::completed, {}}});
  CHECK(reader.passages().empty());
  CHECK(status(reader) == 200);
}
