// config/parlance.example.yaml promises that it shows every key with its default, and
// config/stack.example.yaml that it shows every key of a stack.

#include <map>
#include <regex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include "config/settings.h"

namespace parlance::config {
namespace {

std::string example() {
  auto text = read_file(PARLANCE_SOURCE_DIR "/config/parlance.example.yaml");
  if (!text) FAIL(text.error().detail);
  return *text;
}

/// The example with the commented block that begins with `first_line` made part of it.
std::string with_block(const std::string& text, const std::string& first_line) {
  const std::size_t begin = text.find("# " + first_line);
  REQUIRE(begin != std::string::npos);
  const std::size_t indent = begin - (text.rfind('\n', begin) + 1);
  std::string out = text.substr(0, begin);
  std::size_t at = begin;
  while (text.compare(at, 2, "# ") == 0) {
    const std::size_t end = text.find('\n', at);
    out += text.substr(at + 2, end - at - 1);
    at = end + 1;
    if (text.compare(at, indent, std::string(indent, ' ')) != 0) break;
    if (text.compare(at + indent, 2, "# ") == 0) {
      out += std::string(indent, ' ');
      at += indent;
    }
  }
  return out + text.substr(at);
}

Settings read(const std::string& yaml, std::vector<Problem>& problems) {
  return read_settings(
      yaml,
      [](const char* name) { return std::string(name) == "MAIN_MODEL_KEY" ? "sk" : std::string(); },
      problems);
}

Settings must_read(const std::string& yaml) {
  std::vector<Problem> problems;
  Settings settings = read(yaml, problems);
  for (const Problem& problem : problems) UNSCOPED_INFO(problem.line << ": " << problem.text);
  REQUIRE(problems.empty());
  return settings;
}

using Values = std::map<std::string, std::string>;

template <class T>
std::string text(const T& value) {
  return fmt::format("{}", value);
}
template <>
std::string text(const std::chrono::milliseconds& value) {
  return fmt::format("{}ms", value.count());
}
template <>
std::string text(const std::vector<std::string>& value) {
  return fmt::format("{}", fmt::join(value, " "));
}

/// Every field that a key of the file sets, by that key.
Values values_of(const Settings& s) {
  Values out{
      {"log_level", text(static_cast<int>(s.log_level))},
      {"data", text(s.storage.directory)},
      {"cores", text(s.sessions.cores)},
      {"drain_timeout", text(s.drain_timeout)},
      {"retry_after", text(s.retry_after)},
      {"permessage_deflate", text(s.net.permessage_deflate)},
      {"listen", text(s.net.listen)},
      {"agent.instructions", text(s.agent.instructions)},
      {"agent.tools", text(s.agent.tools)},
      {"agent.steps_max", text(s.agent.steps_max)},
      {"agent.tokens_max", text(s.agent.tokens_max)},
      {"agent.answer_tokens_max", text(s.agent.answer_tokens_max)},
      {"agent.restarts_max", text(s.agent.restarts_max)},
      {"agent.run_timeout", text(s.agent.run_timeout)},
      {"agent.tool_timeout", text(s.agent.tool_timeout)},
      {"agent.tool_output_bytes_max", text(s.agent.tool_output_bytes_max)},
      {"agent.history_bytes_max", text(s.agent.history_bytes_max)},
      {"limits.connections_max", text(s.net.connections_max)},
      {"limits.connections_per_address_max", text(s.net.connections_per_address_max)},
      {"limits.header_bytes_max", text(s.net.header_bytes_max)},
      {"limits.body_bytes_max", text(s.net.body_bytes_max)},
      {"limits.frame_bytes_max", text(s.net.frame_bytes_max)},
      {"limits.audio_bytes_max", text(s.net.audio_bytes_max)},
      {"limits.uploads_max", text(s.net.uploads_max)},
      {"limits.message_bytes_max", text(s.net.message_bytes_max)},
      {"limits.write_queue_bytes_max", text(s.net.write_queue_bytes_max)},
      {"limits.partial_bytes_max", text(s.net.partial_bytes_max)},
      {"limits.history_events_max", text(s.net.history_events_max)},
      {"limits.history_bytes_max", text(s.net.history_bytes_max)},
      {"limits.history_bytes_total_max", text(s.net.history_bytes_total_max)},
      {"limits.header_timeout", text(s.net.header_timeout)},
      {"limits.body_timeout", text(s.net.body_timeout)},
      {"limits.write_timeout", text(s.net.write_timeout)},
      {"limits.keep_alive_timeout", text(s.net.keep_alive_timeout)},
      {"limits.read_timeout", text(s.net.read_timeout)},
      {"limits.ping_interval", text(s.net.ping_interval)},
      {"limits.sessions_awake_max", text(s.sessions.sessions_awake_max)},
      {"limits.queue_max", text(s.sessions.queue_max)},
      {"limits.run_once_max", text(s.sessions.run_once_max)},
      {"limits.idle_timeout", text(s.sessions.idle_timeout)},
      {"storage.write_buffer_bytes", text(s.storage.write_buffer_bytes)},
      {"storage.block_cache_bytes", text(s.storage.block_cache_bytes)},
      {"storage.open_files_max", text(s.storage.open_files_max)},
      {"storage.group_bytes_max", text(s.sessions.group_bytes_max)},
      {"storage.group_requests_max", text(s.sessions.group_requests_max)},
      {"storage.readers", text(s.sessions.readers)},
      {"storage.partial_interval", text(s.sessions.partial_interval)},
      {"storage.partial_bytes", text(s.sessions.partial_bytes)},
      {"speech.transcription_model", text(s.speech.transcription_model)},
      {"speech.speech_model", text(s.speech.speech_model)},
      {"speech.voice", text(s.speech.voice)},
      {"speech.connect_timeout", text(s.speech.connect_timeout)},
      {"speech.first_byte_timeout", text(s.speech.first_byte_timeout)},
      {"speech.stream_idle_timeout", text(s.speech.idle_timeout)},
      {"speech.call_timeout", text(s.speech.call_timeout)},
      {"speech.tries_max", text(s.speech.tries_max)},
      {"speech.backoff_first", text(s.speech.backoff_first)},
      {"speech.backoff_max", text(s.speech.backoff_max)},
      {"speech.in_flight_max", text(s.speech.in_flight_max)},
      {"speech.queue_max", text(s.speech.queue_max)},
      {"speech.queue_timeout", text(s.speech.queue_timeout)},
      {"speech.breaker_failures", text(s.speech.breaker_failures)},
      {"speech.breaker_open", text(s.speech.breaker_open)},
      {"speech.upload_bytes_max", text(s.speech.upload_bytes_max)},
      {"speech.transcript_bytes_max", text(s.speech.transcript_bytes_max)},
      {"speech.text_bytes_max", text(s.speech.text_bytes_max)},
      {"speech.request_characters_max", text(s.speech.request_characters_max)},
      {"speech.speech_bytes_max", text(s.speech.speech_bytes_max)},
      {"speech.offline_workers", text(s.sessions.speech_workers)},
      {"speech.offline_waiting_max", text(s.sessions.speech_waiting_max)},
      {"limits.audio_seconds_max", text(s.offline_speech.audio_max.count())},
      {"limits.audio_age_max", text(s.sessions.audio_age_max)},
      {"documents.passage_tokens", text(s.documents.passage_tokens)},
      {"documents.overlap_tokens", text(s.documents.overlap_tokens)},
      {"documents.index_bytes_max", text(s.documents.index_bytes_max)},
      {"documents.exact_vector_bytes_max", text(s.documents.exact_vector_bytes_max)},
      {"documents.connect_timeout", text(s.documents.connect_timeout)},
      {"documents.request_timeout", text(s.documents.request_timeout)},
  };
  for (const llm::ProviderOptions& p : s.models.providers) {
    out.merge(Values{
        {"providers.base_url", text(p.base_url)},
        {"providers.model", text(p.model)},
        {"providers.connect_timeout", text(p.connect_timeout)},
        {"providers.first_token_timeout", text(p.first_token_timeout)},
        {"providers.stream_idle_timeout", text(p.idle_timeout)},
        {"providers.call_timeout", text(p.call_timeout)},
        {"providers.answer_bytes_max", text(p.answer_bytes_max)},
        {"providers.line_bytes_max", text(p.line_bytes_max)},
        {"providers.tries_max", text(p.tries_max)},
        {"providers.backoff_first", text(p.backoff_first)},
        {"providers.backoff_max", text(p.backoff_max)},
        {"providers.in_flight_max", text(p.in_flight_max)},
        {"providers.queue_max", text(p.queue_max)},
        {"providers.queue_timeout", text(p.queue_timeout)},
        {"providers.breaker_failures", text(p.breaker_failures)},
        {"providers.breaker_open", text(p.breaker_open)},
        {"providers.offline_token_delay", text(p.offline_token_delay)},
    });
  }
  return out;
}

/// The defaults, with one provider as the file's `kind: openai` makes it.
Settings defaults() {
  Settings out;
  llm::ProviderOptions provider;
  provider.kind = llm::ProviderOptions::Kind::openai;
  out.models.providers.push_back(provider);
  return out;
}

/// The example with its commented keys made part of it, but for those of client keys.
std::string whole_example() {
  return with_block(with_block(example(), "providers:"), "instructions: >-");
}

TEST_CASE("the example file has no problem") {
  must_read(example());
}

TEST_CASE("the example file gives the defaults, so an empty file does the same") {
  const Values values = values_of(must_read(example()));
  for (const auto& [key, value] : values_of(Settings())) {
    CAPTURE(key);
    CHECK(values.at(key) == value);
  }
  CHECK(must_read(example()).models.providers.empty());
}

TEST_CASE("the commented keys of the example file are the defaults too") {
  const Values values = values_of(must_read(whole_example()));
  for (const auto& [key, value] : values_of(defaults())) {
    CAPTURE(key);
    CHECK(values.at(key) == value);
  }
}

TEST_CASE("the example's provider takes its key from the environment") {
  CHECK(must_read(whole_example()).models.providers.at(0).api_key == "sk");
}

TEST_CASE("every key of the example file sets its own option and no other") {
  const std::string yaml = whole_example();
  const Values before = values_of(must_read(yaml));
  REQUIRE(yaml.back() == '\n');
  std::set<std::string> changed;
  const std::regex line(R"(^( *)(- )?([a-z_]+): *("?[^ #]+)?)");
  std::string section;
  for (std::size_t at = 0; at < yaml.size(); at = yaml.find('\n', at) + 1) {
    const std::string one = yaml.substr(at, yaml.find('\n', at) - at);
    std::smatch match;
    if (!std::regex_search(one, match, line)) continue;
    const std::string key = match[3];
    if (match[1].length() == 0 && !match[4].matched) section = key;
    if (match[1].length() == 0 && match[4].matched) section.clear();
    const std::string path = section.empty() ? key : fmt::format("{}.{}", section, key);
    if (!before.contains(path) || !match[4].matched || key == "instructions") continue;

    // Another value of the same kind.
    std::string value = match[4];
    if (value == "true" || value == "false") {
      value = value == "true" ? "false" : "true";
    } else if (key == "log_level") {
      value = "error";
    } else if (value[0] >= '0' && value[0] <= '9') {
      value = std::to_string(std::stoull(value) + 1) +
              value.substr(value.find_first_not_of("0123456789") == std::string::npos
                               ? value.size()
                               : value.find_first_not_of("0123456789"));
    } else {
      value += "x";
    }
    CAPTURE(path, value);
    std::string other = yaml;
    other.replace(at + static_cast<std::size_t>(match.position(4)),
                  static_cast<std::size_t>(match.length(4)), value);
    for (const auto& [name, now] : values_of(must_read(other))) {
      CAPTURE(name);
      CHECK((now != before.at(name)) == (name == path));
    }
    changed.insert(path);
  }
  // These two have more than one line.
  for (const auto& [path, value] : before) {
    CAPTURE(path);
    CHECK((changed.contains(path) || path == "listen" || path == "agent.instructions"));
  }
}

TEST_CASE("the example file shows every key that is known") {
  std::vector<Problem> problems;
  read(
      "x: 1\nagent: {x: 1}\nlimits: {x: 1}\nstorage: {x: 1}\ndocuments: {x: 1}\n"
      "speech: {x: 1}\nproviders: [{x: 1}]\n",
      problems);
  REQUIRE(problems.size() == 7);
  const std::string yaml = example();
  for (const Problem& problem : problems) {
    constexpr std::string_view kBefore = "known are: ";
    std::string known = problem.text.substr(problem.text.find(kBefore) + kBefore.size()) + ", ";
    for (std::size_t end; (end = known.find(", ")) != std::string::npos; known.erase(0, end + 2)) {
      const std::string key = known.substr(0, end);
      CAPTURE(problem.text, key);
      CHECK(yaml.find(key + ":") != std::string::npos);
    }
  }
}

// ---- The stack ----

Settings read_stack_example(const std::string& key, std::vector<Problem>& problems) {
  return read_settings(
      "",
      [&](const char* name) { return std::string(name) == "OPENAI_API_KEY" ? key : std::string(); },
      problems, {}, PARLANCE_SOURCE_DIR "/config/stack.example.yaml");
}

TEST_CASE("the example stack has no problem") {
  std::vector<Problem> problems;
  const Settings settings = read_stack_example("sk", problems);
  for (const Problem& problem : problems) UNSCOPED_INFO(problem.line << ": " << problem.text);
  CHECK(problems.empty());
  CHECK(settings.models.named.size() == 3);
  CHECK(settings.stack.decides_by_model);
}

TEST_CASE("the example stack shows every key that is known") {
  std::vector<Problem> problems;
  read(
      "stack: {x: 1, decision_maker: {x: 1}, vector_db: {x: 1},\n"
      "        tools: [{x: 1, ai_client: {x: 1}}]}\n",
      problems);
  const std::string yaml = *read_file(PARLANCE_SOURCE_DIR "/config/stack.example.yaml");
  int lists = 0;
  for (const Problem& problem : problems) {
    constexpr std::string_view kBefore = "known are: ";
    if (problem.text.find(kBefore) == std::string::npos) continue;
    ++lists;
    std::string known = problem.text.substr(problem.text.find(kBefore) + kBefore.size()) + ", ";
    for (std::size_t end; (end = known.find(", ")) != std::string::npos; known.erase(0, end + 2)) {
      const std::string key = known.substr(0, end);
      CAPTURE(problem.text, key);
      CHECK(yaml.find(key + ":") != std::string::npos);
    }
  }
  CHECK(lists == 5);
}

}  // namespace
}  // namespace parlance::config
