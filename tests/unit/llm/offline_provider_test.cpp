#include "llm/offline_provider.h"

#include <memory>
#include <string>
#include <vector>

#include <boost/asio.hpp>
#include <catch2/catch.hpp>

#include "base/json.h"
#include "tests/unit/llm/model_upstream.h"

namespace parlance::llm {
namespace {

using namespace std::chrono_literals;
using namespace test;

ModelRequest conversation(std::vector<ChatMessage> messages) {
  ModelRequest request;
  request.messages = std::move(messages);
  return request;
}

ChatMessage user(std::string text) {
  return {Role::user, std::move(text), {}, {}};
}
ChatMessage assistant(std::string text) {
  return {Role::assistant, std::move(text), {}, {}};
}

const auto all_tools = std::make_shared<
    const std::vector<ToolDeclaration>>(std::vector<ToolDeclaration>{
    {"current_time", "", R"({"type":"object","properties":{"zone":{"type":"string"}}})"},
    {"calculator", "",
     R"({"type":"object","properties":{"expression":{"type":"string"}},"required":["expression"]})"},
    {"search_history", "",
     R"({"type":"object","properties":{"limit":{"type":"integer"},"words":{"type":"string"}},"required":["words"]})"}});

ModelAnswer answer_with_tools(const std::string& question) {
  ModelRequest request = conversation({user(question)});
  request.tools = all_tools;
  return offline_answer(request);
}

}  // namespace

TEST_CASE("the offline provider quotes the most related earlier message") {
  const ModelAnswer answer =
      offline_answer(conversation({{Role::system, "You know about rockets.", {}, {}},
                                   user("My cat is called Miso."),
                                   assistant("What a nice name."),
                                   user("The rocket launch is on Tuesday."),
                                   assistant("Noted."),
                                   user("When is the launch of the rocket?")}));
  CHECK(answer.text.find("- you: \"The rocket launch is on Tuesday.\"") != std::string::npos);
  CHECK(answer.text.find("Miso") == std::string::npos);
  CHECK(answer.text.find("offline") != std::string::npos);
  CHECK(answer.text.find("OPENAI_API_KEY") != std::string::npos);
  CHECK(answer.usage.tokens_in > 10);
  CHECK(answer.usage.tokens_out > 10);
  CHECK(answer.finish_reason == "stop");
  CHECK(answer.tool_calls.empty());
}

TEST_CASE("the offline provider answers Arabic in Arabic and finds words in other spellings") {
  const ModelAnswer answer =
      offline_answer(conversation({user("موعد إطلاق الصاروخ يوم الثلاثاء"), assistant("حسنًا"),
                                   user("قطتي اسمها ميسو"), user("متى موعد اِطلاق الصّاروخ؟")}));
  CHECK(answer.text.find("\"موعد إطلاق الصاروخ يوم الثلاثاء\"") != std::string::npos);
  CHECK(answer.text.find("ميسو") == std::string::npos);
  CHECK(answer.text.find("دون اتصال") != std::string::npos);
  CHECK(answer.text.find("OPENAI_API_KEY") != std::string::npos);
}

TEST_CASE("the offline provider does not quote its own earlier answers") {
  const ModelAnswer first = offline_answer(conversation({user("Tell me about the moon")}));
  const ModelAnswer second = offline_answer(
      conversation({user("Tell me about the moon"), assistant(first.text), user("the moon?")}));
  CHECK(second.text.find("- assistant") == std::string::npos);
  CHECK(second.text.find("- you: \"Tell me about the moon\"") != std::string::npos);
}

TEST_CASE("the offline provider says so when nothing is related") {
  const ModelAnswer answer = offline_answer(conversation({user("Hello!")}));
  CHECK(answer.text.find("found nothing related") != std::string::npos);
  CHECK_FALSE(offline_answer(conversation({})).text.empty());
}

TEST_CASE("the offline provider uses a tool that the question plainly asks for") {
  struct Case {
    const char* question;
    const char* name;
    const char* arguments;
  };
  const Case expected = GENERATE(
      Case{"What time is it?", "current_time", "{}"}, Case{"كم الساعة الآن؟", "current_time", "{}"},
      Case{"what is 12*(3+4)?", "calculator", R"j({"expression":"12*(3+4)"})j"},
      Case{"12*(3+4)", "calculator", R"j({"expression":"12*(3+4)"})j"},
      Case{"Calculate 10 - 4 please", "calculator", R"({"expression":"10 - 4"})"},
      Case{"احسب ١٢×٣", "calculator", R"({"expression":"12*3"})"},
      Case{"search for rocket launch", "search_history", R"({"words":"rocket launch"})"},
      Case{"ابحث عن الصاروخ", "search_history", R"({"words":"الصاروخ"})"});
  const ModelAnswer answer = answer_with_tools(expected.question);
  REQUIRE(answer.tool_calls.size() == 1);
  CHECK(answer.tool_calls[0].name == expected.name);
  CHECK(answer.tool_calls[0].arguments == expected.arguments);
  CHECK(answer.tool_calls[0].id == "offline_1");
  CHECK(answer.finish_reason == "tool_calls");
  CHECK(answer.text.find(expected.name) != std::string::npos);
}

TEST_CASE("the offline provider uses no tool otherwise") {
  const char* question = GENERATE("Hello", "Call 555-1234 tomorrow", "It was on 2024-01-02", "(1)",
                                  "3 apples", "search ", "1+", "a research question", "5 - ");
  CHECK(answer_with_tools(question).tool_calls.empty());
  CHECK(offline_answer(conversation({user("12*3")})).tool_calls.empty());
}

TEST_CASE("the offline provider tells what the tool answered") {
  ModelRequest request = conversation(
      {user("what is 2*3"),
       {Role::assistant, "", {{"offline_1", "calculator", R"({"expression":"2*3"})"}}, {}},
       {Role::tool, "6", {}, "offline_1"}});
  request.tools = all_tools;
  const ModelAnswer answer = offline_answer(request);
  CHECK(answer.text.starts_with("The tool calculator answered: 6\n"));
  CHECK(answer.tool_calls.empty());
}

TEST_CASE("the offline provider survives text that is no UTF-8 and very long conversations") {
  std::vector<ChatMessage> messages;
  messages.reserve(2'001);
  for (int i = 0; i < 2'000; ++i)
    messages.push_back(user(std::string(1'000, i % 2 == 0 ? 'a' : 'b')));
  messages.push_back(user("\xff\xf0\x9f aaa \xd9"));
  CHECK_FALSE(offline_answer(conversation(messages)).text.empty());
}

TEST_CASE("the offline provider answers from passages and names their documents") {
  ModelRequest request = conversation({user("How long is the warranty?")});
  request.passages = {{"1", "garden.txt", "Water the roses daily."},
                      {"2", "manual.pdf", "Welcome.\nThe warranty lasts\t24 months. Enjoy!"}};
  const ModelAnswer answer = offline_answer(request);
  CHECK(answer.text.starts_with("I am the built-in offline provider"));
  CHECK(answer.text.find("- manual.pdf: \"The warranty lasts 24 months.\"") != std::string::npos);
  CHECK(answer.text.find("garden.txt") == std::string::npos);
  CHECK(answer.finish_reason == "stop");
  CHECK(answer.usage.tokens_in > 5);
}

TEST_CASE("the offline provider answers from Arabic passages in Arabic") {
  ModelRequest request = conversation({user("كم مدة الضمان؟")});
  request.passages = {{"1", "دليل.pdf", "مرحبا بكم. مدّة ضمان الطائرة سنتان؛ اقرأ الدليل."}};
  const ModelAnswer answer = offline_answer(request);
  CHECK(answer.text.find("- دليل.pdf: \"مدّة ضمان الطائرة سنتان؛\"") != std::string::npos);
  CHECK(answer.text.find("دون اتصال") != std::string::npos);
}

TEST_CASE("the offline provider says so when the passages do not answer") {
  ModelRequest request = conversation({user("What is the capital of France?")});
  request.passages = {{"1", "manual.pdf", "The warranty lasts 24 months. Charge the battery."}};
  const ModelAnswer answer = offline_answer(request);
  CHECK(answer.text.find("do not answer that") != std::string::npos);
  CHECK(answer.text.find("manual.pdf") == std::string::npos);
}

TEST_CASE("the offline provider answers from passages rather than with a tool") {
  ModelRequest request = conversation({user("search for the warranty")});
  request.tools = all_tools;
  request.passages = {{"1", "manual.pdf", "The warranty lasts 24 months."}};
  CHECK(offline_answer(request).tool_calls.empty());
}

TEST_CASE("the offline provider streams word by word") {
  boost::asio::io_context io;
  http::TransferLoop loop(io);
  ProviderOptions options;
  options.offline_token_delay = std::chrono::milliseconds(GENERATE(0, 1));
  OfflineProvider provider(loop, options);
  RecordingSink sink;
  provider.start(1, ask("Hello"), sink);
  CHECK(sink.deltas == 0);
  REQUIRE(run_until(io, [&] { return sink.ends() == 1; }));
  REQUIRE(sink.answers.size() == 1);
  CHECK(sink.text == sink.answers[0].text);
  CHECK(sink.deltas > 20);
  CHECK(json::valid_utf8(sink.text));
}

TEST_CASE("an offline answer can be cancelled in its midst") {
  boost::asio::io_context io;
  http::TransferLoop loop(io);
  OfflineProvider provider(loop, ProviderOptions{});
  RecordingSink sink;
  sink.when_text = [&] {
    if (sink.deltas == 3) provider.cancel(1);
  };
  provider.start(1, ask("Hello"), sink);
  provider.start(2, ask("Hello"), sink);
  REQUIRE(run_until(io, [&] { return sink.ends() == 1; }));
  run_ready(io);
  CHECK(sink.ends() == 1);
}

}  // namespace parlance::llm
