#include "config/settings.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <tuple>

#include <fmt/format.h>

#include "base/listen_address.h"
#include "config/checks.h"
#include "config/endpoint.h"
#include "config/environment.h"
#include "config/stack.h"
#include "config/yaml_reader.h"

namespace parlance::config {
namespace {

using std::chrono::milliseconds;
using namespace std::chrono_literals;

constexpr std::size_t kKiB = 1 << 10;
constexpr std::size_t kMiB = 1 << 20;
constexpr std::size_t kGiB = 1 << 30;

std::string trimmed(std::string text) {
  const auto is_space = [](char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; };
  while (!text.empty() && is_space(text.back())) text.pop_back();
  text.erase(text.begin(), std::find_if_not(text.begin(), text.end(), is_space));
  return text;
}

/// A secret given as "${NAME}" (from the environment) or as `<key>_file` (a path). A secret written
/// out in the file is taken too, for a file that is itself a secret.
std::string read_secret(Section& section, const char* key, const std::string& file_key,
                        const Environment& environment) {
  std::string value;
  std::string path;
  section.read(key, value);
  section.read(file_key.c_str(), path);
  if (!path.empty()) {
    if (!value.empty()) section.problem(key, fmt::format("and {} are both given", file_key));
    auto text = read_file(path);
    if (!text) {
      section.problem(file_key.c_str(), text.error().detail);
      return {};
    }
    return trimmed(std::move(*text));
  }
  if (value.size() > 3 && value.starts_with("${") && value.ends_with("}")) {
    const std::string name = value.substr(2, value.size() - 3);
    value = environment(name.c_str());
    if (value.empty()) section.problem(key, fmt::format("names {}, which is not set", name));
  }
  return value;
}

void read_listeners(Section& root, net::Options& net, const std::vector<std::string>& instead) {
  root.read("listen", net.listen);
  if (net.listen.empty())
    root.problem("listen", "needs at least one address such as 127.0.0.1:8080");
  if (!instead.empty()) net.listen = instead;
}

/// What binding would refuse in any case. `keys_given`: some were, whether they are good or not.
void check_listeners(Section& root, const net::Options& net, const char* key, bool keys_given) {
  for (std::size_t i = 0; i < net.listen.size(); ++i) {
    const auto address = parse_listen_address(net.listen[i]);
    if (!address) {
      root.problem(key, i, fmt::format("'{}': {}", net.listen[i], address.error().detail));
    } else if (!address->loopback && !keys_given && !net.auth_none) {
      root.problem(key, i, fmt::format("'{}' {}", net.listen[i], net::kOpenToOthers));
    }
  }
}

void read_auth(Section& root, net::Options& net) {
  std::string auth;
  root.read("auth", auth);
  if (auth == "none") {
    net.auth_none = true;
  } else if (!auth.empty()) {
    root.problem("auth", "can only be \"none\"; to ask for keys, list api_keys");
  }
  root.read("allowed_origins", net.allowed_origins);
  for (std::size_t i = 0; i < net.allowed_origins.size(); ++i) {
    if (possible_origin(net.allowed_origins[i])) continue;
    root.problem(
        "allowed_origins", i,
        fmt::format("'{}' matches no page: write scheme://host or scheme://host:port, such "
                    "as https://chat.example.org, without a path, a slash at the end, a "
                    "wildcard or the scheme's own port",
                    net.allowed_origins[i]));
  }
}

/// Adds `key`, or tells what is wrong with it. `where` says which it is, since it is not shown.
void add_key(Section& root, net::Options& net, std::string key, const char* option,
             std::size_t index, const std::string& where) {
  const std::string_view wrong = problem_with_client_key(key);
  if (wrong.empty()) {
    net.api_keys.push_back(std::move(key));
  } else {
    root.problem(option, index, fmt::format("{} {}", where, wrong));
  }
}

/// The keys that `api_keys` lists; how many.
std::size_t read_listed_keys(Section& root, net::Options& net, const Environment& environment) {
  std::vector<std::string> keys;
  root.read("api_keys", keys);
  for (std::size_t i = 0; i < keys.size(); ++i) {
    std::string& key = keys[i];
    if (key.size() > 3 && key.starts_with("${") && key.ends_with("}")) {
      const std::string name = key.substr(2, key.size() - 3);
      key = environment(name.c_str());
      if (key.empty()) {
        root.problem("api_keys", i, fmt::format("names {}, which is not set", name));
        continue;
      }
    }
    add_key(root, net, std::move(key), "api_keys", i, fmt::format("entry {}", i + 1));
  }
  return keys.size();
}

void read_file_of_keys(Section& root, net::Options& net, const std::string& path) {
  const auto text = read_file(path);
  if (!text) {
    root.problem("api_keys_file", text.error().detail);
    return;
  }
  std::istringstream lines(*text);
  bool any = false;
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    line = trimmed(std::move(line));
    if (line.empty() || line.front() == '#') continue;
    any = true;
    add_key(root, net, std::move(line), "api_keys_file", 0,
            fmt::format("{}: line {}", path, number));
  }
  if (!any) root.problem("api_keys_file", fmt::format("{} holds no key", path));
}

/// Keys for clients, of the file and of the environment. Whether any were given, good or not.
bool read_keys(Section& root, net::Options& net, const Environment& environment) {
  const std::size_t listed = read_listed_keys(root, net, environment);
  std::string path;
  root.read("api_keys_file", path);
  if (!path.empty()) read_file_of_keys(root, net, path);

  constexpr const char* kVariable = "PARLANCE_API_KEYS";
  const std::string joined = environment(kVariable);
  if (joined.empty()) return listed > 0 || !path.empty();
  std::size_t begin = 0;
  for (std::size_t i = 0; begin <= joined.size(); ++i) {
    const std::size_t end = std::min(joined.find(',', begin), joined.size());
    add_key(root, net, trimmed(joined.substr(begin, end - begin)), kVariable, 0,
            fmt::format("entry {} of those joined by commas", i + 1));
    begin = end + 1;
  }
  return true;
}

/// What is wrong with the key of the operator's console; empty when nothing is.
std::string_view problem_with_console_key(std::string_view key,
                                          const std::vector<std::string>& api_keys) {
  if (const std::string_view wrong = problem_with_client_key(key); !wrong.empty()) return wrong;
  const bool ascii = std::all_of(key.begin(), key.end(),
                                 [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  if (!ascii) return "holds a character beyond ASCII, which a browser does not send";
  if (key.size() < net::kConsoleKeyBytesMin) {
    return "is too short: 16 characters at least, better 32 random ones";
  }
  if (key.size() > net::kConsoleKeyBytesMax) {
    return "is too long: 512 characters at most, for a header that carries it";
  }
  if (std::find(api_keys.begin(), api_keys.end(), key) != api_keys.end()) {
    return "is one of the clients' keys, who must not be able to open the console";
  }
  return {};
}

/// The key of the operator's console, behind those of clients. The environment wins.
void read_console(Section& root, net::Options& net, const Environment& environment) {
  constexpr const char* kVariable = "PARLANCE_CONSOLE_KEY";
  Section section = root.section("console");
  const char* const name = section.has("key_file") ? "key_file" : "key";
  const std::size_t before = root.problem_count();
  std::string key = read_secret(section, "key", "key_file", environment);
  const bool told = root.problem_count() != before;
  const bool given = section.has(name);
  section.finish();
  const std::string variable = environment(kVariable);
  const bool instead = !variable.empty();
  if (instead) key = variable;
  if (!instead && (told || !given)) return;
  const std::string_view wrong = key.empty() && section.has("key_file")
                                     ? "names no file, or one without a key; leave it out"
                                     : problem_with_console_key(key, net.api_keys);
  if (wrong.empty()) {
    net.console_key = std::move(key);
  } else {
    (instead ? root : section).problem(instead ? kVariable : name, std::string(wrong));
  }
}

void read_limits(Section limits, net::Options& net, actors::Options& sessions,
                 speech::Options& speech) {
  limits.read("connections_max", net.connections_max, 1, 1'000'000);
  limits.read("connections_per_address_max", net.connections_per_address_max, 0, 1'000'000);
  limits.read_bytes("header_bytes_max", net.header_bytes_max, kKiB, kMiB);
  limits.read_bytes("body_bytes_max", net.body_bytes_max, kKiB, kGiB);
  limits.read_bytes("frame_bytes_max", net.frame_bytes_max, kKiB, kGiB);
  limits.read_bytes("documents_bytes_max", net.documents_bytes_max, kKiB, kGiB);
  limits.read_bytes("documents_bytes_total_max", net.documents_bytes_total_max, 64 * kKiB,
                    64 * kGiB);
  if (net.documents_bytes_total_max < net.documents_bytes_max) {
    limits.problem("documents_bytes_total_max", "must be at least documents_bytes_max");
  }
  limits.read_bytes("audio_bytes_max", net.audio_bytes_max, kKiB, kGiB);
  limits.read("uploads_max", net.uploads_max, 1, 10'000);
  limits.read_bytes("message_bytes_max", net.message_bytes_max, 1, kGiB);
  limits.read_bytes("write_queue_bytes_max", net.write_queue_bytes_max, 4 * kKiB, kGiB);
  limits.read_bytes("partial_bytes_max", net.partial_bytes_max, kKiB, 16 * kGiB);
  limits.read("history_events_max", net.history_events_max, 1, 1'000'000);
  limits.read_bytes("history_bytes_max", net.history_bytes_max, 4 * kKiB, 64 * kMiB);
  limits.read_bytes("history_bytes_total_max", net.history_bytes_total_max, 64 * kKiB, 16 * kGiB);
  if (net.history_bytes_total_max < net.history_bytes_max) {
    limits.problem("history_bytes_total_max", "must be at least history_bytes_max");
  }
  auto audio_seconds_max = static_cast<std::uint64_t>(speech.audio_max.count());
  limits.read("audio_seconds_max", audio_seconds_max, 1, 86'400);
  speech.audio_max = std::chrono::seconds(audio_seconds_max);
  speech.transcribe_timeout = std::max(speech.transcribe_timeout, speech.audio_max);
  limits.read("audio_age_max", sessions.audio_age_max, 0ms, 1'000'000h);
  limits.read("header_timeout", net.header_timeout, 10ms, 1h);
  limits.read("body_timeout", net.body_timeout, 10ms, 1h);
  limits.read("write_timeout", net.write_timeout, 10ms, 1h);
  limits.read("keep_alive_timeout", net.keep_alive_timeout, 10ms, 24h);
  limits.read("read_timeout", net.read_timeout, 10ms, 1h);
  limits.read("ws_auth_timeout", net.ws_auth_timeout, 10ms, 1h);
  limits.read("ping_interval", net.ping_interval, 100ms, 24h);
  limits.read("sessions_awake_max", sessions.sessions_awake_max, 1, 100'000'000);
  limits.read("queue_max", sessions.queue_max, 0, 10'000);
  limits.read("run_once_max", sessions.run_once_max, 1, 1'000'000);
  limits.read("idle_timeout", sessions.idle_timeout, 10ms, 24h);
  limits.finish();
}

void read_agent(Section section, agent::Options& agent) {
  section.read("instructions", agent.instructions);
  section.read("tools", agent.tools);
  section.read("steps_max", agent.steps_max, 1, 1'000);
  section.read("tokens_max", agent.tokens_max, 1, 1'000'000'000);
  section.read("answer_tokens_max", agent.answer_tokens_max, 0, 1'000'000'000);
  section.read("restarts_max", agent.restarts_max, 0, 100);
  section.read("run_timeout", agent.run_timeout, 10ms, 24h);
  section.read("tool_timeout", agent.tool_timeout, 10ms, 24h);
  section.read_bytes("tool_output_bytes_max", agent.tool_output_bytes_max, 256, 64 * kMiB);
  section.read_bytes("history_bytes_max", agent.history_bytes_max, 0, 64 * kMiB);
  section.finish();
}

llm::TokenPrices read_prices(Section& provider) {
  constexpr double kMost = 1e6;
  llm::TokenPrices prices;
  Section section = provider.section("prices");
  for (const char* const key : {"input", "output"}) {
    if (section.has(key)) continue;
    section.missing(key, "must be given: what a million tokens cost, 0 where they cost nothing");
  }
  section.read("input", prices.input, 0, kMost);
  section.read("output", prices.output, 0, kMost);
  section.read("currency", prices.currency);
  const auto is_capital = [](char c) { return c >= 'A' && c <= 'Z'; };
  if (prices.currency.size() != 3 ||
      !std::all_of(prices.currency.begin(), prices.currency.end(), is_capital)) {
    section.problem("currency", "must be a code of three capitals as in ISO 4217, such as USD");
  }
  section.finish();
  return prices;
}

llm::ProviderOptions read_provider(Section& section, const Environment& environment) {
  llm::ProviderOptions out;
  out.kind = llm::ProviderOptions::Kind::openai;
  std::string kind = "openai";
  section.read("kind", kind);
  if (kind == "offline") {
    out.kind = llm::ProviderOptions::Kind::offline;
  } else if (kind != "openai") {
    section.problem("kind", "must be openai or offline");
  }
  out.name = kind;
  section.read("name", out.name);
  section.read("base_url", out.base_url);
  check_base_url(section, "base_url", out.base_url);
  section.read("ca_file", out.ca_file);
  check_ca_file(section, "ca_file", out.ca_file);
  out.api_key = read_secret(section, "api_key", "api_key_file", environment);
  section.read("model", out.model);
  section.read("connect_timeout", out.connect_timeout, 10ms, 10min);
  section.read("first_token_timeout", out.first_token_timeout, 10ms, 1h);
  section.read("stream_idle_timeout", out.idle_timeout, 10ms, 1h);
  section.read("call_timeout", out.call_timeout, 10ms, 24h);
  section.read_bytes("answer_bytes_max", out.answer_bytes_max, kKiB, kGiB);
  section.read_bytes("line_bytes_max", out.line_bytes_max, kKiB, kGiB);
  section.read("tries_max", out.tries_max, 1, 100);
  section.read("backoff_first", out.backoff_first, 1ms, 10min);
  section.read("backoff_max", out.backoff_max, 1ms, 1h);
  section.read("in_flight_max", out.in_flight_max, 1, 1'000'000);
  section.read("queue_max", out.queue_max, 0, 10'000'000);
  section.read("queue_timeout", out.queue_timeout, 10ms, 1h);
  section.read("breaker_failures", out.breaker_failures, 1, 1'000'000);
  section.read("breaker_open", out.breaker_open, 10ms, 1h);
  section.read("offline_token_delay", out.offline_token_delay, 0ms, 1min);
  if (section.has("prices")) out.prices = read_prices(section);
  section.finish();
  return out;
}

void read_providers(Section& root, llm::Options& models, const Environment& environment) {
  for (Section& section : root.sections("providers")) {
    models.providers.push_back(read_provider(section, environment));
  }
  const std::string key = environment("OPENAI_API_KEY");
  const std::string base_url = environment("OPENAI_BASE_URL");
  const std::string model = environment("OPENAI_MODEL");
  if (key.empty() && base_url.empty()) return;
  llm::ProviderOptions provider;
  provider.name = "openai";
  provider.kind = llm::ProviderOptions::Kind::openai;
  provider.api_key = key;
  if (!base_url.empty()) provider.base_url = base_url;
  if (!model.empty()) provider.model = model;
  check_base_url(root, "OPENAI_BASE_URL", provider.base_url);
  models.providers.insert(models.providers.begin(), std::move(provider));
}

/// Who speaks: `kind: offline` nobody; else the provider that is described; else, if nothing of it
/// is, that of OPENAI_API_KEY. That key goes to no other address than its own.
void choose_speech_provider(Section& section, llm::SpeechOptions& speech,
                            const Environment& environment) {
  std::string kind;
  section.read("kind", kind);
  if (!kind.empty() && kind != "openai" && kind != "offline") {
    section.problem("kind", "must be openai or offline");
  }
  section.read("base_url", speech.base_url);
  speech.api_key = read_secret(section, "api_key", "api_key_file", environment);
  if (section.has("base_url")) check_base_url(section, "base_url", speech.base_url);
  const std::string key = environment("OPENAI_API_KEY");
  const bool described =
      section.has("base_url") || section.has("api_key") || section.has("api_key_file");
  if (kind == "offline") {
    speech.base_url.clear();
    speech.api_key.clear();
    return;
  }
  if (!described && !key.empty()) {
    speech.base_url = environment("OPENAI_BASE_URL");
    speech.api_key = key;
  } else if (!described && kind != "openai") {
    return;
  }
  if (speech.base_url.empty()) speech.base_url = llm::ProviderOptions().base_url;
}

void read_speech(Section section, llm::SpeechOptions& speech, speech::Options& offline,
                 actors::Options& sessions, const Environment& environment) {
  choose_speech_provider(section, speech, environment);
  section.read("ca_file", speech.ca_file);
  check_ca_file(section, "ca_file", speech.ca_file);
  section.read("transcription_model", speech.transcription_model);
  section.read("speech_model", speech.speech_model);
  section.read("voice", speech.voice);
  section.read("connect_timeout", speech.connect_timeout, 10ms, 10min);
  section.read("first_byte_timeout", speech.first_byte_timeout, 10ms, 1h);
  section.read("stream_idle_timeout", speech.idle_timeout, 10ms, 1h);
  section.read("call_timeout", speech.call_timeout, 10ms, 24h);
  section.read("tries_max", speech.tries_max, 1, 100);
  section.read("backoff_first", speech.backoff_first, 1ms, 10min);
  section.read("backoff_max", speech.backoff_max, 1ms, 1h);
  section.read("in_flight_max", speech.in_flight_max, 1, 10'000);
  section.read("queue_max", speech.queue_max, 0, 10'000);
  section.read("queue_timeout", speech.queue_timeout, 10ms, 1h);
  section.read("breaker_failures", speech.breaker_failures, 1, 1'000'000);
  section.read("breaker_open", speech.breaker_open, 10ms, 1h);
  section.read_bytes("upload_bytes_max", speech.upload_bytes_max, kKiB, 4 * kGiB);
  section.read_bytes("transcript_bytes_max", speech.transcript_bytes_max, kKiB, 16 * kMiB);
  section.read_bytes("text_bytes_max", speech.text_bytes_max, kKiB, 16 * kMiB);
  section.read("request_characters_max", speech.request_characters_max, 16, 1'000'000);
  section.read_bytes("speech_bytes_max", speech.speech_bytes_max, kKiB, 4 * kGiB);
  offline.text_bytes_max = speech.text_bytes_max;
  section.read("offline_workers", sessions.speech_workers, 1, 256);
  section.read("offline_waiting_max", sessions.speech_waiting_max, 0, 100'000);
  section.finish();
}

void read_storage(Section section, storage::Options& storage, actors::Options& sessions) {
  section.read_bytes("write_buffer_bytes", storage.write_buffer_bytes, kMiB, 4 * kGiB);
  section.read_bytes("block_cache_bytes", storage.block_cache_bytes, kMiB, 64 * kGiB);
  section.read("open_files_max", storage.open_files_max, 16, 1'000'000);
  section.read_bytes("group_bytes_max", sessions.group_bytes_max, kKiB, kGiB);
  section.read("group_requests_max", sessions.group_requests_max, 1, 1'000'000);
  section.read("readers", sessions.readers, 1, 64);
  section.read("partial_interval", sessions.partial_interval, 10ms, 1min);
  section.read_bytes("partial_bytes", sessions.partial_bytes, 1, kMiB);
  section.finish();
}

void read_documents(Section section, rag::Options& documents) {
  section.read("passage_tokens", documents.passage_tokens, 50, 8'000);
  section.read("overlap_tokens", documents.overlap_tokens, 0, 4'000);
  if (documents.overlap_tokens > documents.passage_tokens / 2) {
    section.problem("overlap_tokens", "must be at most half of passage_tokens");
  }
  section.read_bytes("index_bytes_max", documents.index_bytes_max, kMiB, 1'024 * kGiB);
  section.read_bytes("exact_vector_bytes_max", documents.exact_vector_bytes_max, 0, 1'024 * kGiB);
  section.read("connect_timeout", documents.connect_timeout, 10ms, 10min);
  section.read("request_timeout", documents.request_timeout, 10ms, 1h);
  section.finish();
}

void read_root(Section& root, Settings& out, const Environment& environment,
               const std::vector<std::string>& listen) {
  std::string level;
  root.read("log_level", level);
  if (!level.empty()) {
    const auto parsed = log::parse_level(level);
    if (parsed) {
      out.log_level = *parsed;
    } else {
      root.problem("log_level", "is not known: " + parsed.error().detail);
    }
  }
  read_listeners(root, out.net, listen);
  root.read("data", out.storage.directory);
  root.read("cores", out.sessions.cores, 0, 256);
  root.read("drain_timeout", out.drain_timeout, 0ms, 1h);
  root.read("retry_after", out.retry_after, 0ms, 1h);
  root.read("permessage_deflate", out.net.permessage_deflate);
  read_auth(root, out.net);
  const bool keys_given = read_keys(root, out.net, environment);
  read_console(root, out.net, environment);
  check_listeners(root, out.net, listen.empty() ? "listen" : "--listen", keys_given);
  read_limits(root.section("limits"), out.net, out.sessions, out.offline_speech);
  read_agent(root.section("agent"), out.agent);
  read_providers(root, out.models, environment);
  read_speech(root.section("speech"), out.speech, out.offline_speech, out.sessions, environment);
  if (!out.speech.base_url.empty() && out.net.audio_bytes_max > out.speech.upload_bytes_max) {
    out.warnings.push_back(
        {0,
         "limits.audio_bytes_max is over speech.upload_bytes_max: recordings between the two are "
         "taken, and then not heard"});
  }
  read_storage(root.section("storage"), out.storage, out.sessions);
  read_documents(root.section("documents"), out.documents);
}

/// The file that STACK_CONFIG names, else `beside` if it is there; else empty.
std::string find_stack_file(const Environment& environment, const std::string& beside) {
  std::string named = environment("STACK_CONFIG");
  std::error_code ignored;
  if (!named.empty() || beside.empty() || !std::filesystem::exists(beside, ignored)) return named;
  return beside;
}

/// The stack of the server's own file. Where there is a `stack_file`, for its problems alone.
void read_own_stack(Section& root, Settings& out, const Environment& environment,
                    const std::string& stack_file) {
  const bool given = !root.is_empty("stack");
  const std::size_t before = root.problem_count();
  Section section = root.section("stack");
  if (!given || root.problem_count() != before) return;
  if (stack_file.empty()) {
    read_stack(std::move(section), environment, out);
    return;
  }
  Settings unused = out;
  read_stack(std::move(section), environment, unused);
  out.warnings.push_back({root.line("stack"), fmt::format("stack is not used: {} is", stack_file)});
}

/// The host and port of "scheme://host:port", without the brackets of IPv6.
std::pair<std::string, std::string> address_of(std::string_view url) {
  const std::size_t begin = url.find("://") + 3;
  const std::size_t colon = url.rfind(':');
  std::string host(url.substr(begin, colon - begin));
  if (host.starts_with('[')) host = host.substr(1, host.size() - 2);
  return {std::move(host), std::string(url.substr(colon + 1))};
}

/// A Chroma server on this machine may be said to be where this one listens by default: that port
/// is left to it. `chosen`: the listeners were written out, so one of both is wrong.
void leave_chroma_its_port(Settings& out, bool chosen, std::vector<Problem>& problems) {
  if (out.documents.chroma_url.empty()) return;
  const auto [host, port] = address_of(out.documents.chroma_url);
  if (host != "localhost" && host != "::1" && !host.starts_with("127.")) return;
  const auto is_chromas = [&port = port](const std::string& listener) {
    const auto address = parse_listen_address(listener);
    return address && std::to_string(address->port) == port;
  };
  auto& listeners = out.net.listen;
  const auto found = std::find_if(listeners.begin(), listeners.end(), is_chromas);
  if (found == listeners.end()) return;
  if (chosen) {
    problems.push_back({0, fmt::format("vector_db is said to be at {}, where this server listens "
                                       "itself; change the port of one of them",
                                       *found)});
    return;
  }
  out.warnings.push_back(
      {0, fmt::format("not listening on {}: vector_db is said to be there", *found)});
  listeners.erase(found);
}

}  // namespace

std::string process_environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

Settings read_settings(std::string_view yaml, const Environment& environment,
                       std::vector<Problem>& problems, const std::vector<std::string>& listen,
                       const std::string& stack_file) {
  Settings out;
  const auto document = parse_yaml(yaml, problems);
  const std::string stack_path = find_stack_file(environment, stack_file);
  bool listeners_chosen = !listen.empty();
  if (document) {
    Section root(*document, "", problems);
    listeners_chosen = listeners_chosen || root.has("listen");
    read_root(root, out, environment, listen);
    read_own_stack(root, out, environment, stack_path);
    root.finish();
  }
  if (!stack_path.empty()) read_stack_file(stack_path, environment, out, problems);
  read_environment(out, environment, problems);
  leave_chroma_its_port(out, listeners_chosen, problems);
  // Until its last token has expired, a little more for clocks that differ.
  out.sessions.temporary_lifetime = out.auth.expires + 1min;
  for (std::vector<Problem>* list : {&problems, &out.warnings}) {
    std::stable_sort(list->begin(), list->end(), [](const Problem& a, const Problem& b) {
      return std::tie(a.file, a.line) < std::tie(b.file, b.line);
    });
  }
  return out;
}

Result<std::string> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return Error{Errc::unavailable, fmt::format("cannot read {}", path)};
  std::string text(kMiB + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (file.bad()) return Error{Errc::unavailable, fmt::format("cannot read {}", path)};
  if (text.size() > kMiB) {
    return Error{Errc::resource_exhausted, fmt::format("{} is over 1 MiB", path)};
  }
  return text;
}

}  // namespace parlance::config
