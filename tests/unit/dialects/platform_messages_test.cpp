#include "dialects/platform_messages.h"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "base/json.h"
#include "base/uuid.h"

using namespace parlance;
using namespace parlance::dialects;
using platform::ConversationRange;
using platform::ConversationReader;
using platform::Message;
using platform::MessageStatus;
using platform::RetryReader;
using platform::RunReader;

namespace {

const SessionId some_session{"019a9a3f-10aa-7c22-8b11-6f5e4d3c2b1a"};
constexpr std::size_t kBytesMax = 1 << 20;

MessageId uuid(int number) {
  return {derived_uuid7({number}, "test", 0)};
}

/// A log that is put down event by event; event 1 is at 1001 ms.
class Log {
 public:
  Log& said(MessageId id, std::string text, MessageId retry_of = {}) {
    return add(MessageAccepted{std::move(id), std::move(text), OnBusy::queue, std::move(retry_of)});
  }
  Log& answered(MessageId id, std::string text, StepType type = StepType::final_answer) {
    return add(StepRecorded{std::move(id), type, std::move(text), {}, {}});
  }
  Log& ended(MessageId id, RunOutcome outcome = RunOutcome::completed, ModelUsage usage = {}) {
    return add(RunEnded{std::move(id), outcome, usage});
  }
  Log& failed(MessageId id, Errc code = Errc::unavailable) {
    return add(RunFailed{std::move(id), "the model does not answer", code, {}});
  }
  /// Event by event, as a voice message goes on.
  Log& spoken_to(MessageId id, std::string text = {}, MessageId retry_of = {}) {
    MessageAccepted message{std::move(id), std::move(text), OnBusy::queue, std::move(retry_of)};
    message.voice = std::make_shared<const VoiceInput>(
        VoiceInput{{"r", "audio/ogg", 300, std::chrono::milliseconds(5)}, "ar", "digest", "", ""});
    return add(std::move(message));
  }
  Log& heard(MessageId id, std::string text) {
    StepRecorded step{std::move(id), StepType::transcript, std::move(text), {}, {}};
    step.engine = "an ear";
    return add(std::move(step));
  }
  Log& spoken(MessageId id, std::string name) {
    StepRecorded step{std::move(id), StepType::audio, "spoken", {}, {}};
    step.engine = "a voice";
    step.audio = {std::move(name), "audio/mpeg", 900, std::chrono::milliseconds(7)};
    return add(std::move(step));
  }
  Log& exchanged(int number) {
    const MessageId id = uuid(number);
    return said(id, "q" + std::to_string(number))
        .answered(id, "a" + std::to_string(number))
        .ended(id);
  }

  const std::vector<RecordedEvent>& events() const { return events_; }
  std::string derived(EventSeq seq) const {
    return derived_uuid7(events_.at(seq - 1).time, some_session.text, seq);
  }

 private:
  Log& add(Event event) {
    const EventSeq seq = events_.size() + 1;
    events_.push_back({{1, seq}, {1'000 + static_cast<std::int64_t>(seq)}, std::move(event)});
    return *this;
  }
  std::vector<RecordedEvent> events_;
};

struct Page {
  rapidjson::Document document;
  EventSeq read_through = 0;
  const rapidjson::Value& item(unsigned at) const { return document["items"][at]; }
  std::string text(unsigned at, const char* member) const {
    const rapidjson::Value& value = item(at)[member];
    return value.IsNull() ? "null" : value.GetString();
  }
  unsigned size() const { return document["items"].Size(); }
  std::string cursor() const {
    const rapidjson::Value& cursor = document["next_cursor"];
    return cursor.IsNull() ? "" : cursor.GetString();
  }
  std::vector<std::string> contents() const {
    std::vector<std::string> out;
    for (unsigned i = 0; i < size(); ++i) out.push_back(text(i, "content"));
    return out;
  }
};

Page read(const Log& log, ConversationRange range = {}, std::size_t bytes_max = kBytesMax) {
  ConversationReader reader(some_session, range, bytes_max);
  Page page;
  for (const RecordedEvent& event : log.events()) {
    if (event.cursor.seq <= range.from.read_after) continue;
    if (reader.done()) break;
    reader.add(event);
    page.read_through = event.cursor.seq;
  }
  CHECK(!reader.lacks_beginning());
  page.document = *json::parse(reader.page());
  return page;
}

ConversationRange range_of(std::string_view limit, std::string_view cursor) {
  const auto parsed = platform::parse_conversation_range(limit, cursor);
  REQUIRE(std::holds_alternative<ConversationRange>(parsed));
  return std::get<ConversationRange>(parsed);
}

/// What all pages of `limit` have, one after the other.
std::vector<std::string> all_pages(const Log& log, std::string_view limit,
                                   const char* member = "content") {
  std::vector<std::string> out;
  std::string cursor = "0-0";
  for (int pages = 0; !cursor.empty() && pages < 100; ++pages) {
    const Page page = read(log, range_of(limit, cursor));
    for (unsigned i = 0; i < page.size(); ++i) out.push_back(page.text(i, member));
    cursor = page.cursor();
  }
  return out;
}

RunReader read_run(const Log& log, const MessageId& id, std::string answers = {}) {
  RunReader reader(some_session, id, std::move(answers));
  for (const RecordedEvent& event : log.events()) reader.add(event);
  return reader;
}

auto retry(const Log& log, std::string id, std::string key = {}) {
  RetryReader reader(some_session, std::move(id), std::move(key));
  for (const RecordedEvent& event : log.events()) reader.add(event);
  return reader.result();
}

int retry_status(const Log& log, std::string id, std::string key = {}) {
  const auto result = retry(log, std::move(id), std::move(key));
  const auto* problem = std::get_if<Problem>(&result);
  return problem == nullptr ? 201 : problem->status;
}

}  // namespace

// ---- One message ----

TEST_CASE("a message is told with all its members") {
  const Message message{.id = "i",
                        .role = Role::assistant,
                        .content = "نعم",
                        .status = MessageStatus::completed,
                        .error = {},
                        .reply_to = "r",
                        .language = "ar",
                        .usage = ModelUsage{5, 2},
                        .created_at = {1},
                        .updated_at = {2}};
  CHECK(platform::message_json({"s"}, message) ==
        R"({"id":"i","session_id":"s","role":"assistant","content":"نعم","content_type":"text",)"
        R"("status":"completed","error":null,"reply_to":"r","language":"ar","audio":null,)"
        R"("usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7},)"
        R"("created_at":"1970-01-01T00:00:00.001Z","updated_at":"1970-01-01T00:00:00.002Z"})");
}

// ---- The conversation ----

TEST_CASE("a conversation has what was said and what was answered") {
  Log log;
  log.said(uuid(1), "What is the time?").answered(uuid(1), "", StepType::planning);
  log.answered(uuid(1), "12:00", StepType::action).answered(uuid(1), "It is noon.");
  log.ended(uuid(1), RunOutcome::completed, {3, 4});
  const Page page = read(log);
  REQUIRE(page.size() == 2);
  CHECK(page.contents() == std::vector<std::string>{"What is the time?", "It is noon."});
  CHECK(page.text(0, "id") == uuid(1).text);
  CHECK(page.text(0, "status") == "completed");
  CHECK(page.text(0, "language") == "en");
  CHECK(page.text(0, "created_at") == "1970-01-01T00:00:01.001Z");
  CHECK(page.text(0, "updated_at") == "1970-01-01T00:00:01.005Z");
  CHECK(page.text(0, "reply_to") == "null");
  CHECK(page.text(1, "id") == log.derived(4));
  CHECK(page.text(1, "reply_to") == uuid(1).text);
  CHECK(page.item(1)["usage"]["total_tokens"].GetInt() == 7);
  CHECK(page.cursor().empty());
}

TEST_CASE("a message that is no UUID is told by a derived one") {
  Log log;
  log.said({"m1"}, "q").answered({"m1"}, "a").ended({"m1"});
  const Page page = read(log);
  CHECK(page.text(0, "id") == log.derived(1));
  CHECK(page.text(1, "reply_to") == log.derived(1));
}

TEST_CASE("a message is pending until its end") {
  Log log;
  log.said(uuid(1), "q").answered(uuid(1), "a");
  const Page page = read(log);
  CHECK(page.text(0, "status") == "pending");
  CHECK(page.text(1, "status") == "pending");
}

TEST_CASE("what was said of a failed answer is kept with the failure") {
  Log log;
  log.said(uuid(1), "q").answered(uuid(1), "half", StepType::partial_answer).failed(uuid(1));
  const Page page = read(log);
  REQUIRE(page.size() == 2);
  for (const unsigned at : {0U, 1U}) {
    CHECK(page.text(at, "status") == "failed");
    CHECK(page.text(at, "error") == "the model does not answer");
  }
}

TEST_CASE("a cancelled message is told as such") {
  Log log;
  log.said(uuid(1), "q").ended(uuid(1), RunOutcome::cancelled);
  const Page page = read(log);
  REQUIRE(page.size() == 1);
  CHECK(page.text(0, "status") == "cancelled");
}

TEST_CASE("running a message again is no message of its own") {
  Log log;
  log.said(uuid(1), "q").failed(uuid(1)).exchanged(2);
  log.said(uuid(9), "q", uuid(1)).answered(uuid(9), "a").ended(uuid(9));
  const Page page = read(log);
  CHECK(page.contents() == std::vector<std::string>{"q", "q2", "a2", "a"});
  CHECK(page.text(0, "status") == "completed");
  CHECK(page.text(0, "error") == "null");
  CHECK(page.text(0, "updated_at") == "1970-01-01T00:00:01.008Z");
  CHECK(page.text(3, "reply_to") == uuid(1).text);
}

TEST_CASE("a message that runs again is pending again") {
  Log log;
  log.said({"m"}, "q").failed({"m"}).said(uuid(9), "q", {"m"});
  const Page page = read(log);
  REQUIRE(page.size() == 1);
  CHECK(page.text(0, "status") == "pending");
  CHECK(page.text(0, "error") == "null");
}

TEST_CASE("pages together are the whole conversation") {
  Log log;
  for (int i = 1; i <= 5; ++i) log.exchanged(i);
  const std::vector<std::string> whole = read(log).contents();
  CHECK(whole.size() == 10);
  for (const auto* limit : {"1", "2", "3", "7", "10", "1000"}) {
    INFO(limit);
    CHECK(all_pages(log, limit) == whole);
  }
}

TEST_CASE("an answer on a later page knows what it answers") {
  Log log;
  log.said({"a"}, "qa").said({"b"}, "qb").said({"c"}, "qc");
  for (const auto* id : {"a", "b", "c"}) log.answered({id}, std::string("to ") + id).ended({id});
  CHECK(all_pages(log, "1", "reply_to") == std::vector<std::string>{"null", "null", "null",
                                                                    log.derived(1), log.derived(2),
                                                                    log.derived(3)});
}

TEST_CASE("a message on an earlier page has the status that came later") {
  Log log;
  log.said(uuid(1), "q").failed(uuid(1)).exchanged(2).exchanged(3);
  log.said(uuid(9), "q", uuid(1)).answered(uuid(9), "a").ended(uuid(9));
  CHECK(all_pages(log, "1", "status") == std::vector<std::string>(6, "completed"));
  CHECK(all_pages(log, "1", "reply_to").back() == uuid(1).text);
}

TEST_CASE("a page of finished messages is done before the log's end") {
  Log log;
  for (int i = 1; i <= 50; ++i) log.exchanged(i);
  CHECK(read(log, range_of("4", "0-0")).read_through == 7);
}

TEST_CASE("a page ends at its bytes") {
  Log log;
  for (int i = 1; i <= 4; ++i) {
    log.said(uuid(i), std::string(1'000, 'x')).answered(uuid(i), "a").ended(uuid(i));
  }
  const Page page = read(log, {}, 1'500);
  CHECK(page.size() == 3);
  CHECK(!page.cursor().empty());
}

TEST_CASE("a page that lacks what was before it says so") {
  Log log;
  log.said({"m"}, "q").failed({"m"}).said(uuid(9), "q", {"m"}).answered(uuid(9), "a");
  ConversationReader reader(some_session, {.limit = 5, .from = {2, 2}}, kBytesMax);
  reader.add(log.events()[2]);
  CHECK(reader.lacks_beginning());
}

TEST_CASE("a bad range of a conversation is 400") {
  for (const auto* limit : {"0", "1001", "x", ""}) {
    INFO(limit);
    CHECK(std::holds_alternative<Problem>(platform::parse_conversation_range(limit, {})));
  }
  for (const auto* cursor : {"", "5", "-", "1-", "-1", "7-3", "1-2-3", "a-b"}) {
    INFO(cursor);
    CHECK(std::holds_alternative<Problem>(platform::parse_conversation_range({}, cursor)));
  }
}

// ---- One run ----

TEST_CASE("a run's answer is the assistant's message") {
  Log log;
  log.said(uuid(1), "q").said(uuid(2), "other").answered(uuid(2), "no").answered(uuid(1), "a");
  log.ended(uuid(1), RunOutcome::completed, {1, 1});
  const RunReader reader = read_run(log, uuid(1));
  const auto result = reader.answer();
  const auto& answer = std::get<Message>(result);
  CHECK(answer.content == "a");
  CHECK(answer.reply_to == uuid(1).text);
  CHECK(answer.id == log.derived(4));
  CHECK(answer.status == MessageStatus::completed);
  CHECK(answer.usage == ModelUsage{1, 1});
}

TEST_CASE("a failed run is a problem that names the message to run again") {
  Log log;
  log.said({"m"}, "q").answered({"m"}, "half", StepType::partial_answer).failed({"m"});
  const auto result = read_run(log, {"m"}).answer();
  const auto& problem = std::get<Problem>(result);
  CHECK(problem.status == 503);
  CHECK(problem.message_id == log.derived(1));
  CHECK(to_json(problem, "r").find(R"("message_id":")" + log.derived(1)) != std::string::npos);
}

TEST_CASE("a cancelled run is 409") {
  Log log;
  log.said(uuid(1), "q").ended(uuid(1), RunOutcome::cancelled);
  const RunReader reader = read_run(log, uuid(1));
  CHECK(reader.cancelled());
  CHECK(std::get<Problem>(reader.answer()).status == 409);
}

TEST_CASE("a run without an end is of a session that was deleted") {
  const auto result = read_run(Log(), uuid(1)).answer();
  const auto& problem = std::get<Problem>(result);
  CHECK(problem.status == 409);
  CHECK(problem.detail == "the session was deleted");
}

TEST_CASE("a second run answers the message that it runs again") {
  Log log;
  log.said(uuid(9), "q", uuid(1)).answered(uuid(9), "a").ended(uuid(9));
  const auto result = read_run(log, uuid(9), uuid(1).text).answer();
  CHECK(std::get<Message>(result).reply_to == uuid(1).text);
}

// ---- Voice ----

TEST_CASE("a voice message is told with what was heard, and its answer with what was spoken") {
  Log log;
  log.spoken_to(uuid(1)).heard(uuid(1), "سؤال").answered(uuid(1), "reply");
  log.spoken(uuid(1), log.derived(3)).ended(uuid(1));
  const Page page = read(log);
  REQUIRE(page.size() == 2);
  CHECK(page.text(0, "content") == "سؤال");
  CHECK(page.text(0, "content_type") == "voice");
  CHECK(page.text(0, "language") == "ar");
  const rapidjson::Value& heard = page.item(0)["audio"];
  CHECK(heard["type"] == "audio/ogg");
  CHECK(heard["bytes"].GetInt() == 300);
  CHECK(heard["duration_ms"].GetInt() == 5);
  CHECK(heard["engine"] == "an ear");
  CHECK(page.text(1, "content_type") == "voice");
  const rapidjson::Value& spoken = page.item(1)["audio"];
  CHECK(spoken["href"].GetString() ==
        "/api/v1/message/" + log.derived(3) + "/audio?session_id=" + some_session.text);
  CHECK(spoken["engine"] == "a voice");
}

TEST_CASE("a voice message that was not heard has no content") {
  const Page page = read(Log().spoken_to(uuid(1)).failed(uuid(1)));
  REQUIRE(page.size() == 1);
  CHECK(page.item(0)["content"].IsNull());
  CHECK(page.item(0)["audio"]["engine"].IsNull());
  CHECK(page.text(0, "status") == "failed");
}

TEST_CASE("an answer that could not be spoken has no recording") {
  const Page page =
      read(Log().spoken_to(uuid(1)).heard(uuid(1), "q").answered(uuid(1), "reply").failed(uuid(1)));
  REQUIRE(page.size() == 2);
  CHECK(page.item(1)["audio"].IsNull());
  CHECK(page.text(1, "status") == "failed");
}

TEST_CASE("the answer of a run that is read has its recording, and the user's message its text") {
  Log log;
  log.spoken_to(uuid(1)).heard(uuid(1), "q").answered(uuid(1), "reply");
  log.spoken(uuid(1), log.derived(3)).ended(uuid(1));
  const RunReader run = read_run(log, uuid(1));
  Message user = platform::user_message(some_session, log.events().front());
  run.complete(user);
  CHECK(user.content == "q");
  CHECK(user.engine == "an ear");
  CHECK(user.status == MessageStatus::completed);
  const auto answer = run.answer();
  REQUIRE(std::holds_alternative<Message>(answer));
  CHECK(std::get<Message>(answer).audio.bytes == 900);
  CHECK(std::get<Message>(answer).voice);
}

TEST_CASE("a run that found no words is the message's own fault") {
  const RunReader run =
      read_run(Log().spoken_to(uuid(1)).failed(uuid(1), Errc::unprocessable), uuid(1));
  const auto answer = run.answer();
  REQUIRE(std::holds_alternative<Problem>(answer));
  CHECK(std::get<Problem>(answer).status == 422);
}

TEST_CASE("what an earlier run answered is not told beside the answer of the next one") {
  Log log;
  log.said(uuid(1), "q").answered(uuid(1), "half", StepType::partial_answer).failed(uuid(1));
  log.said(uuid(2), "q", uuid(1));
  CHECK(read(log).contents() == std::vector<std::string>{"q", "half"});
  log.failed(uuid(2)).said(uuid(3), "q", uuid(1));
  CHECK(read(log).contents() == std::vector<std::string>{"q", "half"});
  log.answered(uuid(3), "whole").ended(uuid(3));
  CHECK(read(log).contents() == std::vector<std::string>{"q", "whole"});
}

TEST_CASE("a voice message is run again with what is known of it") {
  Log log;
  log.spoken_to(uuid(1));
  const auto retry = [&] {
    RetryReader reader(some_session, uuid(1).text, {});
    for (const RecordedEvent& event : log.events()) reader.add(event);
    const auto result = reader.result();
    REQUIRE(std::holds_alternative<platform::Retry>(result));
    return std::get<platform::Retry>(result).command;
  };
  SECTION("its recording where it was not heard") {
    log.failed(uuid(1));
    CHECK(retry().text.empty());
    REQUIRE(retry().voice != nullptr);
    CHECK(retry().voice->audio.name == "r");
  }
  SECTION("its text where it was not answered") {
    log.heard(uuid(1), "q").failed(uuid(1));
    CHECK(retry().text == "q");
    CHECK(retry().voice->engine == "an ear");
    CHECK(retry().voice->answer.empty());
  }
  SECTION("its answer where that was not spoken") {
    log.heard(uuid(1), "q").answered(uuid(1), "reply").failed(uuid(1));
    CHECK(retry().voice->answer == "reply");
  }
  SECTION("its answer where a later run did not speak it either") {
    log.heard(uuid(1), "q").answered(uuid(1), "reply").failed(uuid(1));
    const MessageId again = retry().message_id;
    log.spoken_to(again, "q", uuid(1)).answered(again, "reply").failed(again);
    CHECK(retry().voice->answer == "reply");
  }
}

// ---- Running a message again ----

TEST_CASE("a failed message is submitted again with its text") {
  Log log;
  log.said({"m"}, "q").failed({"m"});
  const auto result = retry(log, log.derived(1));
  const auto& again = std::get<platform::Retry>(result);
  CHECK(again.command.text == "q");
  CHECK(again.command.retry_of.text == "m");
  CHECK(is_uuid(again.command.message_id.text));
  CHECK(again.user.id == log.derived(1));
  CHECK(again.user.status == MessageStatus::pending);
}

TEST_CASE("a cancelled message can be run again") {
  Log log;
  log.said(uuid(1), "q").ended(uuid(1), RunOutcome::cancelled);
  CHECK(retry_status(log, uuid(1).text) == 201);
}

TEST_CASE("two retries of one failure are the same run") {
  Log log;
  log.said(uuid(1), "q").failed(uuid(1));
  const auto first = retry(log, uuid(1).text);
  const auto second = retry(log, uuid(1).text);
  CHECK(std::get<platform::Retry>(first).command.message_id ==
        std::get<platform::Retry>(second).command.message_id);
}

TEST_CASE("a retry after a failed retry is another run") {
  Log log;
  log.said(uuid(1), "q").failed(uuid(1));
  const auto first = retry(log, uuid(1).text);
  log.said(uuid(9), "q", uuid(1)).failed(uuid(9));
  const auto second = retry(log, uuid(1).text);
  CHECK(std::get<platform::Retry>(first).command.message_id !=
        std::get<platform::Retry>(second).command.message_id);
}

TEST_CASE("a message that is pending or answered is not run again") {
  Log log;
  log.said(uuid(1), "q");
  CHECK(retry_status(log, uuid(1).text) == 409);
  log.answered(uuid(1), "a").ended(uuid(1));
  CHECK(retry_status(log, uuid(1).text) == 409);
  CHECK(retry_status(log, log.derived(2)) == 409);
}

TEST_CASE("an unknown message is not run again") {
  Log log;
  log.said(uuid(1), "q").failed(uuid(1)).said(uuid(9), "q", uuid(1)).failed(uuid(9));
  CHECK(retry_status(log, uuid(5).text) == 404);
  CHECK(retry_status(log, uuid(9).text) == 404);
}

TEST_CASE("a repeated key is the same run, also after its answer") {
  Log log;
  log.said(uuid(1), "q").failed(uuid(1));
  const auto first = retry(log, uuid(1).text, "k");
  const MessageId id = std::get<platform::Retry>(first).command.message_id;
  log.said(id, "q", uuid(1)).answered(id, "a").ended(id);
  const auto second = retry(log, uuid(1).text, "k");
  CHECK(std::get<platform::Retry>(second).command.message_id == id);
  CHECK(retry_status(log, uuid(1).text, "other") == 409);
  CHECK(retry_status(log, uuid(1).text) == 409);
}
