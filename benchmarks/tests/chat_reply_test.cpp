#include "benchmarks/upstream/chat_reply.h"

#include <string>
#include <vector>

#include <catch2/catch.hpp>
#include <rapidjson/document.h>

#include "benchmarks/upstream/embeddings.h"

namespace {

namespace bench = parlance::benchmarks;

const bench::Vocabulary kVocabulary(1);

bench::ChatRequest request_of(bool include_usage = false) {
  bench::ChatRequest request;
  request.model = "m";
  request.stream = true;
  request.include_usage = include_usage;
  request.last_content = "hello";
  return request;
}

struct Played {
  std::string bytes;
  std::vector<int64_t> waits_ns;
  uint32_t tokens = 0;
};

Played play(const bench::ChatRequest& request, const bench::Behaviour& behaviour,
            const bench::UpstreamSettings& settings = {}) {
  bench::ChatReply reply(request, behaviour, settings, kVocabulary, 1);
  Played played;
  while (!reply.done() && played.waits_ns.size() < 1'000) {
    played.waits_ns.push_back(reply.wait_ns());
    if (played.waits_ns.back() == bench::ChatReply::kNever) break;
    played.tokens += reply.append_next(played.bytes, 12'345);
  }
  return played;
}

/// The payloads of the "data:" lines.
std::vector<std::string> events_of(const std::string& bytes) {
  std::vector<std::string> events;
  size_t begin = 0;
  while ((begin = bytes.find("data: ", begin)) != std::string::npos) {
    const size_t end = bytes.find("\n\n", begin);
    events.push_back(bytes.substr(begin + 6, end - begin - 6));
    begin = end;
  }
  return events;
}

struct Collected {
  std::string text;
  std::vector<std::string> arguments = std::vector<std::string>(4);
  std::string finish_reason;
  bool has_usage = false;
  bool has_done = false;
  size_t broken = 0;
};

Collected collect(const std::string& bytes) {
  Collected out;
  for (const auto& event : events_of(bytes)) {
    if (event == "[DONE]") {
      out.has_done = true;
      continue;
    }
    rapidjson::Document json;
    json.Parse(event.data(), event.size());
    if (json.HasParseError() || !json.HasMember("choices")) {
      ++out.broken;
      continue;
    }
    if (json["choices"].Empty()) {
      out.has_usage = json["usage"].IsObject();
      continue;
    }
    const auto& choice = json["choices"][0];
    const auto& delta = choice["delta"];
    if (delta.HasMember("content")) out.text += delta["content"].GetString();
    if (delta.HasMember("tool_calls")) {
      const auto& call = delta["tool_calls"][0];
      out.arguments.at(call["index"].GetUint()) += call["function"]["arguments"].GetString();
    }
    if (choice["finish_reason"].IsString()) out.finish_reason = choice["finish_reason"].GetString();
  }
  return out;
}

}  // namespace

TEST_CASE("a scripted text comes back exactly") {
  bench::Behaviour behaviour;
  behaviour.text =
      GENERATE("Hello", "two  spaces ", " \"quoted\"\nand \\ tab\t", "مرحبا بك يا صديقي", "");
  const auto out = collect(play(request_of(), behaviour).bytes);
  CHECK(out.text == *behaviour.text);
  CHECK(out.finish_reason == "stop");
  CHECK(out.has_done);
  CHECK_FALSE(out.has_usage);
}

TEST_CASE("an answer is the same for the same question and seed, streamed or plain") {
  bench::UpstreamSettings settings;
  settings.tokens = 30;
  const auto text = collect(play(request_of(), {}, settings).bytes).text;
  CHECK(collect(play(request_of(), {}, settings).bytes).text == text);
  const bench::ChatReply reply(request_of(), {}, settings, kVocabulary, 2);
  rapidjson::Document json;
  const std::string body = reply.plain_body();
  json.Parse(body.data(), body.size());
  REQUIRE_FALSE(json.HasParseError());
  CHECK(json["choices"][0]["message"]["content"].GetString() == text);
  CHECK(json["usage"]["completion_tokens"].GetUint() == 30);
}

TEST_CASE("usage is sent when it is asked for") {
  CHECK(collect(play(request_of(true), {}).bytes).has_usage);
}

TEST_CASE("waits are the first token's, then each token's, times the batch") {
  bench::UpstreamSettings settings;
  settings.tokens = 5;
  settings.batch = 2;
  settings.first_token_ms = 10;
  settings.token_ms = 3;
  const auto played = play(request_of(), {}, settings);
  // role, three deltas, finish, [DONE]
  CHECK(played.waits_ns == std::vector<int64_t>{0, 10'000'000, 6'000'000, 6'000'000, 0, 0});
  CHECK(played.tokens == 5);
}

TEST_CASE("stamps begin each delta") {
  bench::UpstreamSettings settings;
  settings.tokens = 1;
  settings.stamp = true;
  CHECK(collect(play(request_of(), {}, settings).bytes).text.substr(0, 6) == "12345|");
}

TEST_CASE("tool calls come in pieces that join to their arguments") {
  bench::Behaviour behaviour;
  behaviour.tool_calls = {{"", "calculator", R"({"expression":"2+3 ثلاثة"})"},
                          {"id2", "clock", "{}"}};
  behaviour.fragment_bytes = GENERATE(1, 3, 1'000);
  behaviour.interleave = GENERATE(false, true);
  const auto out = collect(play(request_of(), behaviour).bytes);
  CHECK(out.arguments[0] == behaviour.tool_calls[0].arguments);
  CHECK(out.arguments[1] == "{}");
  CHECK(out.finish_reason == "tool_calls");
  CHECK(out.broken == 0);
}

TEST_CASE("a stall comes after its number of deltas") {
  bench::Behaviour behaviour;
  behaviour.tokens = 5;
  behaviour.stall_after_tokens = GENERATE(0u, 3u, 5u);
  const auto played = play(request_of(), behaviour);
  CHECK(played.waits_ns.back() == bench::ChatReply::kNever);
  CHECK(played.tokens == *behaviour.stall_after_tokens);
}

TEST_CASE("streams break as they are told to") {
  bench::Behaviour behaviour;
  behaviour.tokens = 6;
  SECTION("malformed JSON at one delta") {
    behaviour.malformed_json_at = 3;
    const auto out = collect(play(request_of(), behaviour).bytes);
    CHECK(out.broken == 1);
    CHECK(out.has_done);
  }
  SECTION("no [DONE]") {
    behaviour.missing_done = true;
    CHECK_FALSE(collect(play(request_of(), behaviour).bytes).has_done);
  }
  SECTION("an error instead of the second half") {
    behaviour.error_in_stream = true;
    const auto played = play(request_of(), behaviour);
    CHECK(played.tokens == 3);
    CHECK(collect(played.bytes).broken == 1);
    CHECK_FALSE(collect(played.bytes).has_done);
  }
  SECTION("half a character") {
    behaviour.truncated_utf8_at = 0;
    CHECK_THAT(play(request_of(), behaviour).bytes, Catch::Contains("\xD9\"}"));
  }
  SECTION("one huge line") {
    behaviour.huge_line_bytes = 100'000;
    CHECK(events_of(play(request_of(), behaviour).bytes).at(1).size() > 100'000);
  }
  SECTION("carriage returns and comments") {
    behaviour.crlf = true;
    behaviour.comments = true;
    const std::string bytes = play(request_of(), behaviour).bytes;
    CHECK_THAT(bytes, Catch::StartsWith(": still thinking\r\n\r\ndata: "));
    CHECK_THAT(bytes, Catch::EndsWith("data: [DONE]\r\n\r\n"));
  }
}

TEST_CASE("a request's limit of tokens ends the answer by length") {
  auto request = request_of();
  request.tokens_max = 2;
  const auto played = play(request, {});
  CHECK(played.tokens == 2);
  CHECK(collect(played.bytes).finish_reason == "length");
}

TEST_CASE("embeddings have length one and know common words") {
  const auto dot = [](const std::vector<float>& a, const std::vector<float>& b) {
    float sum = 0;
    for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
    return sum;
  };
  const auto river = bench::embed("the long river", 256);
  CHECK(dot(river, river) == Approx(1));
  CHECK(river == bench::embed("The long river!", 256));
  CHECK(dot(river, bench::embed("a river", 256)) > dot(river, bench::embed("tax forms", 256)));
  CHECK(dot(bench::embed("", 8), bench::embed("", 8)) == Approx(1));
}
