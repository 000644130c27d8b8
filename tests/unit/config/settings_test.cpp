#include "config/settings.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/unit/base/temp_dir.h"

namespace parlance::config {
namespace {

using namespace std::chrono_literals;

using Variables = std::map<std::string, std::string>;

/// What reading one configuration gave.
struct Reading {
  Settings settings;
  std::vector<Problem> problems;

  explicit Reading(std::string_view yaml, const Variables& variables = {},
                   const std::vector<std::string>& listen = {}) {
    settings = read_settings(
        yaml,
        [&](const char* name) {
          const auto found = variables.find(name);
          return found == variables.end() ? std::string() : found->second;
        },
        problems, listen);
  }

  /// "line: text" for each problem.
  std::vector<std::string> told() const {
    std::vector<std::string> out;
    for (const Problem& problem : problems) {
      out.push_back(std::to_string(problem.line) + ": " + problem.text);
    }
    return out;
  }
};

using Told = std::vector<std::string>;

// ---- Files ----

TEST_CASE("an empty file gives the defaults") {
  const std::string_view yaml = GENERATE("", "# nothing\n", "---\n", "{}");
  CHECK(Reading(yaml).told().empty());
}

TEST_CASE("an empty section gives its defaults") {
  CHECK(Reading("agent:\nlimits:\nstorage: ~\nproviders:\n").told().empty());
}

TEST_CASE("what is not YAML is a problem with its line") {
  const Reading reading("log_level: info\nagent: [1, 2\nlimits: {}\n");
  REQUIRE(reading.problems.size() == 1);
  CHECK(reading.problems[0].line > 1);
  CHECK(reading.problems[0].text.find("not valid YAML: ") == 0);
}

TEST_CASE("a file that is no mapping is a problem") {
  CHECK(Reading("just text").told() == Told{"1: the file must be a mapping of keys to values"});
  CHECK(Reading("- a\n- b\n").told() == Told{"1: the file must be a mapping of keys to values"});
}

TEST_CASE("a section that is no mapping is a problem") {
  CHECK(Reading("\nagent: 5\n").told() == Told{"2: agent must be a mapping of keys to values"});
}

TEST_CASE("providers that are no list are a problem") {
  CHECK(Reading("providers: main\n").told() == Told{"1: providers must be a list"});
}

TEST_CASE("a provider that is no mapping is a problem with its place") {
  CHECK(Reading("providers:\n  - kind: offline\n  - main\n").told() ==
        Told{"3: providers[1] must be a mapping of keys to values"});
}

// ---- Keys and values ----

TEST_CASE("an unknown key is a problem that lists the known ones") {
  const Told told = Reading("agent:\n  steps: 3\n").told();
  REQUIRE(told.size() == 1);
  CHECK(told[0].find("2: agent.steps is not a known key; known are: ") == 0);
  CHECK(told[0].find("steps_max") != std::string::npos);
}

TEST_CASE("an unknown key of a provider is named with its place") {
  const Told told = Reading("providers:\n  - kind: offline\n    colour: blue\n").told();
  REQUIRE(told.size() == 1);
  CHECK(told[0].find("3: providers[0].colour is not a known key") == 0);
}

TEST_CASE("a wrong value is a problem that says what is right") {
  const auto [yaml, told] = GENERATE(table<std::string, std::string>({
      {"log_level: loud",
       "1: log_level is not known: a log level is one of trace, debug, info, warn, error, off; got "
       "'loud'"},
      {"log_level: [info]", "1: log_level must be a text"},
      {"permessage_deflate: perhaps", "1: permessage_deflate must be true or false"},
      {"cores: many", "1: cores must be a whole number from 0 to 256"},
      {"cores: -1", "1: cores must be a whole number from 0 to 256"},
      {"cores: 257", "1: cores must be a whole number from 0 to 256"},
      {"cores: 1.5", "1: cores must be a whole number from 0 to 256"},
      {"cores: 99999999999999999999", "1: cores must be a whole number from 0 to 256"},
      {"cores: [1]", "1: cores must be a whole number from 0 to 256"},
      {"cores:", "1: cores must be a whole number from 0 to 256"},
      {"agent: {steps_max: 0}", "1: agent.steps_max must be a whole number from 1 to 1000"},
      {"drain_timeout: 10",
       "1: drain_timeout must be a duration from 0ms to 3600s, such as 250ms, "
       "30s or 5m"},
      {"drain_timeout: 10 days",
       "1: drain_timeout must be a duration from 0ms to 3600s, such as "
       "250ms, 30s or 5m"},
      {"drain_timeout: 2h",
       "1: drain_timeout must be a duration from 0ms to 3600s, such as 250ms, "
       "30s or 5m"},
      {"drain_timeout: -1s",
       "1: drain_timeout must be a duration from 0ms to 3600s, such as "
       "250ms, 30s or 5m"},
      {"limits: {body_bytes_max: 1MB}",
       "1: limits.body_bytes_max must be a size from 1024 to "
       "1073741824 bytes, such as 64KiB or 1MiB"},
      {"limits: {body_bytes_max: 2GiB}",
       "1: limits.body_bytes_max must be a size from 1024 to "
       "1073741824 bytes, such as 64KiB or 1MiB"},
      {"limits: {body_bytes_max: 99999999999999GiB}",
       "1: limits.body_bytes_max must be a size from 1024 to 1073741824 bytes, such as 64KiB or "
       "1MiB"},
      {"listen: {}", "1: listen must be a text or a list of texts"},
      {"listen: [[a]]", "1: listen must be a text or a list of texts"},
      {"listen: []", "1: listen needs at least one address such as 127.0.0.1:8080"},
      {"auth: open", "1: auth can only be \"none\"; to ask for keys, list api_keys"},
      {"providers: [{kind: magic}]", "1: providers[0].kind must be openai or offline"},
      {"providers: [{base_url: example.org}]",
       "1: providers[0].base_url must begin with http:// or https://"},
  }));
  CAPTURE(yaml);
  CHECK(Reading(yaml).told() == Told{told});
}

TEST_CASE("a wrong value leaves the default") {
  CHECK(Reading("drain_timeout: soon").settings.drain_timeout == Settings().drain_timeout);
  CHECK(Reading("agent: {steps_max: 0}").settings.agent.steps_max == agent::Options().steps_max);
}

TEST_CASE("every problem of a file is told at once, in the file's order") {
  const Reading reading(
      "cores: many\n"
      "agent:\n"
      "  steps_max: none\n"
      "  colour: blue\n"
      "limits:\n"
      "  queue_max: 1h\n"
      "providers:\n"
      "  - kind: magic\n"
      "    tries_max: 0\n"
      "log_level: loud\n");
  std::vector<int> lines;
  for (const Problem& problem : reading.problems) lines.push_back(problem.line);
  CHECK(lines == std::vector<int>{1, 3, 4, 6, 8, 9, 10});
}

TEST_CASE("durations and sizes are read with every unit") {
  CHECK(Reading("drain_timeout: 250ms").settings.drain_timeout == 250ms);
  CHECK(Reading("drain_timeout: 3s").settings.drain_timeout == 3s);
  CHECK(Reading("drain_timeout: 2m").settings.drain_timeout == 2min);
  CHECK(Reading("drain_timeout: 1h").settings.drain_timeout == 1h);
  CHECK(Reading("drain_timeout: 3 s").settings.drain_timeout == 3s);
  CHECK(Reading("limits: {message_bytes_max: 512}").settings.net.message_bytes_max == 512);
  CHECK(Reading("limits: {message_bytes_max: 512B}").settings.net.message_bytes_max == 512);
  CHECK(Reading("limits: {message_bytes_max: 2KiB}").settings.net.message_bytes_max == 2'048);
  CHECK(Reading("limits: {message_bytes_max: 1GiB}").settings.net.message_bytes_max == 1 << 30);
}

TEST_CASE("a key that is given twice is a problem with both lines") {
  CHECK(Reading("cores: 1\nlog_level: info\ncores: 2\n").told() ==
        Told{"3: cores is given twice, first in line 1; keep one"});
  CHECK(Reading("agent:\n  tools: true\n  tools: true\n").told() ==
        Told{"3: agent.tools is given twice, first in line 2; keep one"});
  CHECK(Reading("providers: [{name: a}, {name: b, name: c}]").told() ==
        Told{"1: providers[1].name is given twice, first in line 1; keep one"});
  CHECK(Reading("agent: {tools: true}\nlimits: {}\nagent: {steps_max: 1}\n").told() ==
        Told{"3: agent is given twice, first in line 1; keep one"});
}

TEST_CASE("an unknown key that is given twice is told once as unknown and once as twice") {
  const Told told = Reading("x: 1\nx: 2\n").told();
  REQUIRE(told.size() == 2);
  CHECK(told[0].find("1: x is not a known key") == 0);
  CHECK(told[1] == "2: x is given twice, first in line 1; keep one");
}

// ---- Who may come in, and where ----

TEST_CASE("an address that cannot be bound is a problem with its own line") {
  CHECK(Reading("listen:\n  - 127.0.0.1:1\n  - example.org:1\n").told() ==
        Told{"3: listen 'example.org:1': the host must be a numeric address (IPv6 in brackets), "
             "localhost, or * for all"});
  CHECK(Reading("cores: 1\nlisten: 127.0.0.1:65536").told() ==
        Told{"2: listen '127.0.0.1:65536': the port must be a whole number from 0 to 65535"});
  CHECK(Reading("listen: nonsense").told() ==
        Told{"1: listen 'nonsense': it is not of the form host:port, as 127.0.0.1:8080 is"});
}

TEST_CASE("listening beyond loopback without keys is a problem for each address") {
  const std::string open =
      " can be reached from other machines and no API keys are configured: give `api_keys`, or "
      "write `auth: none` on purpose";
  CHECK(Reading("listen:\n  - 0.0.0.0:1\n  - localhost:1\n  - '[::]:1'\n").told() ==
        Told{"2: listen '0.0.0.0:1'" + open, "4: listen '[::]:1'" + open});
  CHECK(Reading("listen: '*:1'\napi_keys: []").told() == Told{"1: listen '*:1'" + open});
}

TEST_CASE("listening beyond loopback is fine with a key from anywhere, or on purpose") {
  CHECK(Reading("listen: '*:1'\napi_keys: [a]").told().empty());
  CHECK(Reading("listen: '*:1'\nauth: none").told().empty());
  CHECK(Reading("listen: '*:1'", {{"PARLANCE_API_KEYS", "a"}}).told().empty());
  const test::TempDir directory;
  std::ofstream(directory / "keys") << "a\n";
  CHECK(Reading("listen: '*:1'\napi_keys_file: " + (directory / "keys")).told().empty());
}

TEST_CASE("a key that is wrong is not told as a missing one too") {
  CHECK(Reading("listen: '*:1'\napi_keys: [\"${MY_KEY}\"]").told() ==
        Told{"2: api_keys names MY_KEY, which is not set"});
  CHECK(Reading("listen: '*:1'", {{"PARLANCE_API_KEYS", " "}}).told().size() == 1);
}

TEST_CASE("addresses of the command line stand for those of the file") {
  const Reading good("listen: '*:1'", {}, {"127.0.0.1:2"});
  CHECK(good.told().empty());
  CHECK(good.settings.net.listen == Told{"127.0.0.1:2"});
  const Told told = Reading("log_level: info\nlisten: 127.0.0.1:1", {}, {"x", "*:1"}).told();
  REQUIRE(told.size() == 2);
  CHECK(told[0].find("0: --listen 'x': it is not of the form host:port") == 0);
  CHECK(told[1].find("0: --listen '*:1' can be reached from other machines") == 0);
}

TEST_CASE("a listed key that no client can present is a problem that does not show it") {
  CHECK(Reading("api_keys:\n  - good\n  - ''\n  - \"sec ret\"\n  - \"sec\\nret\"\n").told() ==
        Told{"3: api_keys entry 2 is empty; leave it out",
             "4: api_keys entry 3 holds a blank or a control character, which a key may not",
             "5: api_keys entry 4 holds a blank or a control character, which a key may not"});
  CHECK(Reading("api_keys: [\"${MY_KEY}\"]", {{"MY_KEY", "secret\n"}}).told() ==
        Told{"1: api_keys entry 1 holds a blank or a control character, which a key may not"});
}

TEST_CASE("an origin that no page has is a problem with its own line and the form") {
  const Told told = Reading(
                        "allowed_origins:\n"
                        "  - https://chat.example.org\n"
                        "  - https://chat.example.org/\n"
                        "  - '*'\n")
                        .told();
  REQUIRE(told.size() == 2);
  CHECK(told[0] ==
        "3: allowed_origins 'https://chat.example.org/' matches no page: write scheme://host or "
        "scheme://host:port, such as https://chat.example.org, without a path, a slash at the end, "
        "a wildcard or the scheme's own port");
  CHECK(told[1].find("4: allowed_origins '*' matches no page") == 0);
}

// ---- Lists ----

TEST_CASE("one address may be given without a list") {
  CHECK(Reading("listen: 127.0.0.1:1").settings.net.listen == Told{"127.0.0.1:1"});
}

TEST_CASE("a provider's prices are read") {
  const Reading reading("providers: [{prices: {input: 0.15, output: 2, currency: EUR}}]");
  REQUIRE(reading.told().empty());
  const auto& prices = reading.settings.models.providers.at(0).prices;
  REQUIRE(prices.has_value());
  CHECK(prices->input == Approx(0.15));
  CHECK(prices->output == Approx(2));
  CHECK(prices->currency == "EUR");
}

TEST_CASE("a price that is no number, and a currency that is no code, are problems") {
  const std::string place = "1: providers[0].prices.";
  const std::string rest = ", output: 1}}]";
  for (const char* wrong : {"-1", "nan", "1e3", "0x10", "cheap", "1000001", "''"}) {
    CHECK(Reading("providers: [{prices: {input: " + std::string(wrong) + rest).told() ==
          Told{place + "input must be a number from 0 to 1000000"});
  }
  for (const char* wrong : {"usd", "US", "Euros", "''"}) {
    CHECK(
        Reading("providers: [{prices: {input: 1, currency: " + std::string(wrong) + rest).told() ==
        Told{place + "currency must be a code of three capitals as in ISO 4217, such as USD"});
  }
}

TEST_CASE("a price that is left out is a problem, not nothing") {
  const std::string place = "1: providers[0].prices.";
  const std::string wrong = " must be given: what a million tokens cost, 0 where they cost nothing";
  const std::string no_input = place + "input" + wrong;
  const std::string no_output = place + "output" + wrong;
  CHECK(Reading("providers: [{prices: {input: 1}}]").told() == Told{no_output});
  CHECK(Reading("providers: [{prices: {output: 1}}]").told() == Told{no_input});
  for (const char* nothing : {"{}", "", "{currency: EUR}"}) {
    INFO(nothing);
    CHECK(Reading("providers: [{prices: " + std::string(nothing) + "}]").told() ==
          Told{no_input, no_output});
  }
  CHECK(Reading("providers: [{prices: {input: 0, output: 0}}]").told().empty());
}

TEST_CASE("providers keep their order") {
  const Settings settings =
      Reading("providers: [{name: a, model: x}, {name: b, kind: offline}]").settings;
  REQUIRE(settings.models.providers.size() == 2);
  CHECK(settings.models.providers[0].name == "a");
  CHECK(settings.models.providers[0].kind == llm::ProviderOptions::Kind::openai);
  CHECK(settings.models.providers[1].kind == llm::ProviderOptions::Kind::offline);
}

// ---- Environment ----

TEST_CASE("without a provider and a key there is none") {
  CHECK(Reading("").settings.models.providers.empty());
}

TEST_CASE("a key in the environment is enough for a provider") {
  const Settings settings = Reading("", {{"OPENAI_API_KEY", "sk"}}).settings;
  REQUIRE(settings.models.providers.size() == 1);
  CHECK(settings.models.providers[0].name == "openai");
  CHECK(settings.models.providers[0].api_key == "sk");
  CHECK(settings.models.providers[0].base_url == "https://api.openai.com/v1");
}

TEST_CASE("an upstream in the environment needs no key") {
  const Settings settings =
      Reading("", {{"OPENAI_BASE_URL", "http://127.0.0.1:9"}, {"OPENAI_MODEL", "small"}}).settings;
  REQUIRE(settings.models.providers.size() == 1);
  CHECK(settings.models.providers[0].base_url == "http://127.0.0.1:9");
  CHECK(settings.models.providers[0].model == "small");
}

TEST_CASE("the environment's provider is tried before the file's") {
  const Settings settings =
      Reading("providers: [{name: file}]", {{"OPENAI_API_KEY", "sk"}}).settings;
  REQUIRE(settings.models.providers.size() == 2);
  CHECK(settings.models.providers[0].name == "openai");
}

TEST_CASE("a wrong upstream in the environment is a problem, whatever the file") {
  const std::string_view yaml = GENERATE("", "cores: 1", "providers: [{name: a}]");
  CHECK(Reading(yaml, {{"OPENAI_BASE_URL", "example.org"}}).told() ==
        Told{"0: OPENAI_BASE_URL must begin with http:// or https://"});
}

// ---- Speech ----

TEST_CASE("without a provider of its own and a key in the environment speech is offline") {
  const std::string_view yaml =
      GENERATE("", "speech:", "speech: {voice: x}", "providers: [{api_key: sk}]");
  CHECK(Reading(yaml).settings.speech.base_url.empty());
  CHECK(Reading(yaml, {{"OPENAI_BASE_URL", "http://a"}}).settings.speech.base_url.empty());
}

TEST_CASE("a key in the environment is enough for speech") {
  const llm::SpeechOptions speech =
      Reading("speech: {voice: nova}", {{"OPENAI_API_KEY", "sk"}}).settings.speech;
  CHECK(speech.base_url == "https://api.openai.com/v1");
  CHECK(speech.api_key == "sk");
  CHECK(speech.voice == "nova");
}

TEST_CASE("speech goes where the environment's key goes") {
  const llm::SpeechOptions speech =
      Reading("", {{"OPENAI_API_KEY", "sk"}, {"OPENAI_BASE_URL", "http://a/v1"}}).settings.speech;
  CHECK(speech.base_url == "http://a/v1");
}

TEST_CASE("speech has a provider of its own, which the environment's key is not sent to") {
  const llm::SpeechOptions speech =
      Reading("speech: {base_url: \"http://a/v1\"}", {{"OPENAI_API_KEY", "sk"}}).settings.speech;
  CHECK(speech.base_url == "http://a/v1");
  CHECK(speech.api_key.empty());
}

TEST_CASE("a key for speech alone goes to OpenAI, whatever the address of the chats") {
  const llm::SpeechOptions speech =
      Reading("speech: {api_key: \"${K}\"}",
              {{"K", "sk-2"}, {"OPENAI_API_KEY", "sk"}, {"OPENAI_BASE_URL", "http://a"}})
          .settings.speech;
  CHECK(speech.base_url == "https://api.openai.com/v1");
  CHECK(speech.api_key == "sk-2");
}

TEST_CASE("speech may be offline whatever the environment says") {
  const llm::SpeechOptions speech =
      Reading("speech: {kind: offline}", {{"OPENAI_API_KEY", "sk"}}).settings.speech;
  CHECK(speech.base_url.empty());
  CHECK(speech.api_key.empty());
}

TEST_CASE("every problem of speech is told with its line") {
  CHECK(Reading("speech:\n"
                "  kind: magic\n"
                "  base_url: example.org\n"
                "  api_key: ${MISSING}\n"
                "  tries_max: 0\n"
                "  first_byte_timeout: soon\n")
            .told() == Told{"2: speech.kind must be openai or offline",
                            "3: speech.base_url must begin with http:// or https://",
                            "4: speech.api_key names MISSING, which is not set",
                            "5: speech.tries_max must be a whole number from 1 to 100",
                            // NOLINTNEXTLINE(bugprone-suspicious-missing-comma)
                            "6: speech.first_byte_timeout must be a duration from 10ms to 3600s, "
                            "such as 250ms, 30s or 5m"});
}

TEST_CASE("the environment's log level wins") {
  CHECK(Reading("log_level: warn", {{"LOG_LEVEL", "DEBUG"}}).settings.log_level ==
        log::Level::debug);
}

TEST_CASE("a wrong log level in the environment is a problem") {
  CHECK(Reading("", {{"LOG_LEVEL", "loud"}}).told() ==
        Told{"0: LOG_LEVEL: a log level is one of trace, debug, info, warn, error, off; got "
             "'loud'"});
}

TEST_CASE("the environment's data directory wins") {
  CHECK(Reading("data: /a", {{"DATABASE_URL", "rocksdb:///b/c"}}).settings.storage.directory ==
        "/b/c");
}

TEST_CASE("another kind of database is a problem that says what is possible") {
  const std::string name = GENERATE("DATABASE_URL", "SESSION_DB_URL");
  const std::string url = GENERATE("rocksdb://", "postgres://h/d", "/plain", "rocksdb:/x");
  CHECK(Reading("", {{name, url}}).told() ==
        Told{"0: " + name + " must be rocksdb:///path/of/a/directory"});
}

TEST_CASE("a database of SQLite is a problem that says how to import it") {
  const std::string name = GENERATE("DATABASE_URL", "SESSION_DB_URL");
  const std::string url = GENERATE("sqlite://sessions.db", "sqlite:///x.db");
  CHECK(Reading("", {{name, url}}).told() ==
        Told{"0: " + name +
             " must be rocksdb:///path/of/a/directory; `parlance import-kiss FILE` imports the "
             "sessions of an SQLite file into such a directory"});
}

TEST_CASE("the sessions' database is the data directory too") {
  CHECK(Reading("data: /a", {{"SESSION_DB_URL", "rocksdb:///b/c"}}).settings.storage.directory ==
        "/b/c");
  const Reading both("", {{"SESSION_DB_URL", "rocksdb:///b"}, {"DATABASE_URL", "rocksdb:///b"}});
  CHECK(both.told().empty());
  CHECK(both.settings.storage.directory == "/b");
}

TEST_CASE("two databases that differ are a problem") {
  CHECK(
      Reading("", {{"SESSION_DB_URL", "rocksdb:///b"}, {"DATABASE_URL", "rocksdb:///c"}}).told() ==
      Told{"0: DATABASE_URL and SESSION_DB_URL name two directories, but there is one store; give "
           "one of them"});
}

// ---- Access tokens ----

TEST_CASE("access tokens are as the environment says") {
  const Reading reading("", {{"ACCESS_TOKEN_SECRET_KEY", "0123456789abcdef0123456789abcdef"},
                             {"ACCESS_TOKEN_ALGORITHM", "HS512"},
                             {"ACCESS_TOKEN_EXPIRE_MINUTES", "5"}});
  CHECK(reading.told().empty());
  CHECK(reading.settings.warnings.empty());
  CHECK(reading.settings.auth.secret_key == "0123456789abcdef0123456789abcdef");
  CHECK(reading.settings.auth.algorithm == "HS512");
  CHECK(reading.settings.auth.expires == 5min);
}

TEST_CASE("without a word of the environment access tokens have their defaults") {
  const auth::Options auth = Reading("").settings.auth;
  CHECK(auth.secret_key.empty());
  CHECK(auth.algorithm == "HS256");
  CHECK(auth.expires == 30min);
}

TEST_CASE("a secret key that is weak is taken with a warning that does not show it") {
  const std::string key = GENERATE("your-secure-random-secret-key", "0123456789abcdef",
                                   "0123456789abcdef0123456789abcde");
  const Reading reading("", {{"ACCESS_TOKEN_SECRET_KEY", key}});
  CHECK(reading.told().empty());
  CHECK(reading.settings.auth.secret_key == key);
  REQUIRE(reading.settings.warnings.size() == 1);
  CHECK(reading.settings.warnings[0].text.find(key) == std::string::npos);
}

TEST_CASE("the secret key of the documents is told as known to everybody") {
  const Reading reading("", {{"ACCESS_TOKEN_SECRET_KEY", "your-secure-random-secret-key"}});
  CHECK(reading.settings.warnings.at(0).text ==
        "ACCESS_TOKEN_SECRET_KEY is the example of the documents: anybody can make tokens that "
        "this server takes");
}

TEST_CASE("a secret key that is too short or too long is a problem") {
  const std::string key = GENERATE(std::string(15, 'k'), std::string(1'025, 'k'));
  CHECK(Reading("", {{"ACCESS_TOKEN_SECRET_KEY", key}}).told() ==
        Told{"0: ACCESS_TOKEN_SECRET_KEY must have from 16 to 1024 bytes, better 32 random ones; "
             "without it a key is made in the data directory"});
}

TEST_CASE("an algorithm that is not of the three is a problem") {
  const std::string name = GENERATE("none", "hs256", "RS256", "HS256 ", "HS1");
  CHECK(Reading("", {{"ACCESS_TOKEN_ALGORITHM", name}}).told() ==
        Told{"0: ACCESS_TOKEN_ALGORITHM must be one of: HS256, HS384, HS512"});
}

TEST_CASE("a lifetime of tokens that is no number of minutes is a problem") {
  const std::string text = GENERATE("0", "-1", "half", "1.5", "30m", "525601", "99999999999", " 1");
  CHECK(Reading("", {{"ACCESS_TOKEN_EXPIRE_MINUTES", text}}).told() ==
        Told{"0: ACCESS_TOKEN_EXPIRE_MINUTES must be a whole number from 1 to 525600"});
}

// ---- Documents ----

TEST_CASE("passages that would hardly advance are a problem") {
  CHECK(Reading("documents:\n  passage_tokens: 100\n  overlap_tokens: 51\n").told() ==
        Told{"3: documents.overlap_tokens must be at most half of passage_tokens"});
  CHECK(Reading("documents: {passage_tokens: 100, overlap_tokens: 50}").told().empty());
}

TEST_CASE("problems of the environment come before those of the file") {
  const Reading reading("cores: many", {{"LOG_LEVEL", "loud"}});
  REQUIRE(reading.problems.size() == 2);
  CHECK(reading.problems[0].line == 0);
}

TEST_CASE("keys of the environment are added to those of the file") {
  const Reading reading("api_keys: [a]", {{"PARLANCE_API_KEYS", "b, c"}});
  CHECK(reading.told().empty());
  CHECK(reading.settings.net.api_keys == Told{"a", "b", "c"});
}

TEST_CASE("an empty or unusable key in the environment is a problem that says which") {
  const std::string before = "0: PARLANCE_API_KEYS entry ";
  const std::string empty = " of those joined by commas is empty; leave it out";
  CHECK(Reading("", {{"PARLANCE_API_KEYS", ",,"}}).told() ==
        Told{before + "1" + empty, before + "2" + empty, before + "3" + empty});
  CHECK(Reading("", {{"PARLANCE_API_KEYS", "a,"}}).told() == Told{before + "2" + empty});
  CHECK(Reading("", {{"PARLANCE_API_KEYS", " "}}).told() == Told{before + "1" + empty});
  CHECK(Reading("", {{"PARLANCE_API_KEYS", "a,b c,d"}}).told() ==
        Told{before +
             "2 of those joined by commas holds a blank or a control character, which a key may "
             "not"});
}

// ---- The console ----

TEST_CASE("the console has no key unless one is given") {
  CHECK(Reading("").settings.net.console_key.empty());
}

TEST_CASE("the console's key comes from the file, and from the environment rather") {
  const std::string yaml = "console:\n  key: of-the-file-0123";
  CHECK(Reading(yaml).settings.net.console_key == "of-the-file-0123");
  const Reading both(yaml, {{"PARLANCE_CONSOLE_KEY", "of-the-environment"}});
  CHECK(both.told().empty());
  CHECK(both.settings.net.console_key == "of-the-environment");
}

TEST_CASE("a key of the console that is too short is a problem that does not show it") {
  const Reading reading("console:\n  key: tiny-key");
  REQUIRE(reading.problems.size() == 1);
  CHECK(reading.problems[0].line == 2);
  CHECK(reading.problems[0].text.find("16 characters") != std::string::npos);
  CHECK(reading.problems[0].text.find("tiny-key") == std::string::npos);
  CHECK(reading.settings.net.console_key.empty());
  CHECK(
      Reading("", {{"PARLANCE_CONSOLE_KEY", "short"}}).told() ==
      Told{"0: PARLANCE_CONSOLE_KEY is too short: 16 characters at least, better 32 random ones"});
}

TEST_CASE("a key of the console that no header or browser carries is a problem") {
  const auto told = [](const std::string& key) {
    return Reading("console: {key: " + key + "}").told();
  };
  CHECK(told(std::string(512, 'k')).empty());
  CHECK(told(std::string(513, 'k')) ==
        Told{"1: console.key is too long: 512 characters at most, for a header that carries it"});
  CHECK(told("مفتاح-لوحة-التشغيل") ==
        Told{"1: console.key holds a character beyond ASCII, which a browser does not send"});
}

TEST_CASE("an empty key of the console is a problem, not a console that nobody can open") {
  CHECK(Reading("console: {key: ''}").told() == Told{"1: console.key is empty; leave it out"});
  const std::string wrong = "1: console.key_file names no file, or one without a key; leave it out";
  CHECK(Reading("console: {key_file: ''}").told() == Told{wrong});
  const test::TempDir folder;
  std::ofstream(folder / "key") << "\n";
  CHECK(Reading("console: {key_file: " + (folder / "key") + "}").told() == Told{wrong});
  CHECK(Reading("console: {}").told().empty());
  CHECK(Reading("console: {key: '${NO_KEY}'}").told() ==
        Told{"1: console.key names NO_KEY, which is not set"});
}

TEST_CASE("a client's key is none of the console") {
  const Reading reading("api_keys: [0123456789abcdef]\nconsole:\n  key: 0123456789abcdef");
  REQUIRE(reading.problems.size() == 1);
  CHECK(reading.problems[0].text.find("clients' keys") != std::string::npos);
}

// ---- Secrets ----

TEST_CASE("a secret is taken from the variable it names") {
  const Settings settings =
      Reading("providers: [{api_key: \"${MY_KEY}\"}]", {{"MY_KEY", "sk"}}).settings;
  CHECK(settings.models.providers.at(0).api_key == "sk");
}

TEST_CASE("a secret whose variable is not set is a problem that names it") {
  CHECK(Reading("providers:\n  - api_key: \"${MY_KEY}\"\n").told() ==
        Told{"2: providers[0].api_key names MY_KEY, which is not set"});
  CHECK(Reading("api_keys: [\"${MY_KEY}\"]").told() ==
        Told{"1: api_keys names MY_KEY, which is not set"});
}

TEST_CASE("a secret is taken from its file without the blanks around it") {
  const test::TempDir directory;
  std::ofstream(directory / "key") << "  sk\n";
  const Reading reading("providers: [{api_key_file: " + (directory / "key") + "}]");
  CHECK(reading.told().empty());
  CHECK(reading.settings.models.providers.at(0).api_key == "sk");
}

TEST_CASE("a secret's file that cannot be read is a problem that names it") {
  const test::TempDir directory;
  const std::string path = directory / "missing";
  CHECK(Reading("providers: [{api_key_file: " + path + "}]").told() ==
        Told{"1: providers[0].api_key_file cannot read " + path});
}

TEST_CASE("a bundle of certificates must be there and hold one") {
  const test::TempDir directory;
  const std::string good = directory / "ca.pem";
  const std::string empty = directory / "empty.pem";
  const std::string missing = directory / "missing.pem";
  std::ofstream(good) << "-----BEGIN CERTIFICATE-----\nMAo=\n-----END CERTIFICATE-----\n";
  std::ofstream(empty) << "-----BEGIN PRIVATE KEY-----\nMAo=\n-----END PRIVATE KEY-----\n";
  const Reading reading("providers: [{ca_file: " + good + "}]");
  CHECK(reading.told().empty());
  CHECK(reading.settings.models.providers.at(0).ca_file == good);
  CHECK(Reading("providers: [{}]").settings.models.providers.at(0).ca_file.empty());
  CHECK(Reading("providers:\n  - ca_file: " + missing).told() ==
        Told{"2: providers[0].ca_file cannot read " + missing});
  CHECK(Reading("providers: [{ca_file: " + empty + "}]").told() ==
        Told{"1: providers[0].ca_file " + empty + " holds no certificate in PEM form"});
}

TEST_CASE("a secret given twice is a problem") {
  const test::TempDir directory;
  std::ofstream(directory / "key") << "sk";
  CHECK(Reading("providers: [{api_key: a, api_key_file: " + (directory / "key") + "}]").told() ==
        Told{"1: providers[0].api_key and api_key_file are both given"});
}

TEST_CASE("a file of client keys has one on each line, and comments") {
  const test::TempDir directory;
  std::ofstream(directory / "keys") << "# people\none\r\n\n  two  \n";
  CHECK(Reading("api_keys_file: " + (directory / "keys")).settings.net.api_keys ==
        Told{"one", "two"});
}

TEST_CASE("a file of client keys without one, or with an unusable one, is a problem") {
  const test::TempDir directory;
  const std::string path = directory / "keys";
  std::ofstream(path) << "# nobody yet\n\n";
  CHECK(Reading("api_keys_file: " + path).told() ==
        Told{"1: api_keys_file " + path + " holds no key"});
  std::ofstream(path) << "# people\none\ntwo words\n";
  CHECK(Reading("api_keys_file: " + path).told() ==
        Told{"1: api_keys_file " + path +
             ": line 3 holds a blank or a control character, which a key may not"});
}

TEST_CASE("no problem shows a secret") {
  const Reading reading(
      "api_keys: [secret one]\nproviders:\n  - api_key: secret-two\n    kind: magic\n    x: 1\n",
      {{"OPENAI_API_KEY", "secret-three"},
       {"LOG_LEVEL", "loud"},
       {"PARLANCE_API_KEYS", "secret four"}});
  CHECK(reading.problems.size() == 5);
  for (const Problem& problem : reading.problems) {
    CHECK(problem.text.find("secret") == std::string::npos);
  }
}

// ---- Reading a file ----

TEST_CASE("a file is read whole") {
  const test::TempDir directory;
  std::ofstream(directory / "f") << "line\n";
  const auto text = read_file(directory / "f");
  REQUIRE(text.has_value());
  CHECK(*text == "line\n");
}

TEST_CASE("a file that is a directory cannot be read") {
  const test::TempDir directory;
  const auto text = read_file(directory.path());
  REQUIRE_FALSE(text.has_value());
  CHECK(text.error().code == Errc::unavailable);
}

TEST_CASE("a file over 1 MiB is refused") {
  const test::TempDir directory;
  std::ofstream(directory / "f") << std::string((1 << 20) + 1, 'x');
  const auto text = read_file(directory / "f");
  REQUIRE_FALSE(text.has_value());
  CHECK(text.error().code == Errc::resource_exhausted);
}

}  // namespace
}  // namespace parlance::config
