#include "config/stack.h"

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

using Variables = std::map<std::string, std::string>;
using Told = std::vector<std::string>;
using LlmKind = llm::ProviderOptions::Kind;
using ToolKind = agent::StackTool::Kind;

// As the stack server's readme writes it.
constexpr std::string_view kSourceExample = R"(stack:
  decision_maker:
    name: decision_maker
    role: classify tools for given queries
    kind: prompt
    ai_client:
      provider: openai
      model: gpt-4
      api_key: <your-api-key>

  tools:
    - name: general_queries
      role: process other queries if no suitable tool is found.
      kind: prompt
      ai_client:
        provider: openai
        model: gpt-4
        api_key: <your-api-key>

    - name: document_tool
      role: process documents and provide answers based on them.
      kind: rag
      embeddings: text-embedding-ada-002
      ai_client:
        provider: openai
        model: gpt-4
        api_key: <your-api-key>

  vector_db:
    provider: chroma
    kind: remote
    host: 0.0.0.0
    port: 8000
    secure: false
)";

Told in_words(const std::vector<Problem>& problems) {
  Told out;
  for (const Problem& one : problems) {
    out.push_back((one.file.empty() ? "" : one.file + ":") + std::to_string(one.line) + ": " +
                  one.text);
  }
  return out;
}

struct Reading {
  Settings settings;
  std::vector<Problem> problems;

  explicit Reading(std::string_view yaml, const Variables& variables = {},
                   const std::string& stack_file = {}) {
    settings = read_settings(
        yaml,
        [&](const char* name) {
          const auto found = variables.find(name);
          return found == variables.end() ? std::string() : found->second;
        },
        problems, {}, stack_file);
  }

  Told told() const { return in_words(problems); }
  Told warned() const { return in_words(settings.warnings); }
  const llm::ProviderOptions& named(const std::string& name) const {
    const auto& all = settings.models.named;
    const auto found =
        std::find_if(all.begin(), all.end(), [&](const auto& one) { return one.name == name; });
    REQUIRE(found != all.end());
    return *found;
  }
};

/// A stack of one prompt tool, with `client` as the members of its ai_client.
std::string with_client(const std::string& client) {
  return "stack: {tools: [{name: a, role: b, kind: prompt, ai_client: {" + client + "}}]}";
}

/// One with `tools`, in the flow style.
std::string with_tools(const std::string& tools) {
  return "stack: {tools: [" + tools + "]}";
}

std::string with_vector_db(const std::string& members) {
  return "stack: {tools: [{name: a, role: b, kind: prompt}], vector_db: {" + members + "}}";
}

// ---- The sources' example ----

TEST_CASE("the example of the sources has no problem") {
  CHECK(Reading(kSourceExample).told().empty());
  CHECK(Reading(kSourceExample, {{"OPENAI_API_KEY", "sk"}}).told().empty());
}

TEST_CASE(
    "the example of the sources gives its tools, with a client for each and for the decision") {
  const Reading reading(kSourceExample, {{"OPENAI_API_KEY", "sk"}});
  const agent::Stack& stack = reading.settings.stack;
  CHECK(stack.decides_by_model);
  CHECK(stack.decision_provider == "stack/decision_maker");
  CHECK(stack.decision_role == "classify tools for given queries");
  REQUIRE(stack.tools.size() == 2);
  CHECK(stack.tools[0].name == "general_queries");
  CHECK(stack.tools[0].kind == ToolKind::prompt);
  CHECK(stack.tools[0].provider == "stack/general_queries");
  CHECK(stack.tools[1].name == "document_tool");
  CHECK(stack.tools[1].role == "process documents and provide answers based on them.");
  CHECK(stack.tools[1].kind == ToolKind::rag);
  CHECK(stack.tools[1].embeddings == "text-embedding-ada-002");
  CHECK(stack.tools[1].depth == 5);
  CHECK(reading.settings.models.named.size() == 3);
  CHECK(reading.named("stack/document_tool").model == "gpt-4");
  CHECK(reading.named("stack/document_tool").api_key == "sk");
  CHECK(reading.named("stack/document_tool").kind == LlmKind::openai);
}

TEST_CASE("the remote database of the sources' example is a Chroma server on this machine") {
  const rag::Options documents = Reading(kSourceExample).settings.documents;
  CHECK(documents.backend == rag::Options::Backend::chroma);
  CHECK(documents.chroma_url == "http://127.0.0.1:8000");
}

TEST_CASE("a default listener is left to a Chroma server that is said to be there") {
  const Reading reading(kSourceExample);
  const auto& listeners = reading.settings.net.listen;
  CHECK(std::find(listeners.begin(), listeners.end(), "127.0.0.1:8000") == listeners.end());
  CHECK(listeners.size() == net::Options{}.listen.size() - 1);
}

TEST_CASE("a listener that was chosen and is where Chroma is said to be is a mistake") {
  const Reading reading("listen: [\"127.0.0.1:8000\"]\n" + std::string(kSourceExample));
  CHECK(reading.told() == Told{"0: vector_db is said to be at 127.0.0.1:8000, where this server "
                               "listens itself; change the port of one of them"});
}

TEST_CASE("a placeholder without a key in the environment is offline, with a warning") {
  const Reading reading(kSourceExample);
  CHECK(reading.named("stack/general_queries").kind == LlmKind::offline);
  CHECK_FALSE(reading.settings.stack.decides_by_model);
  CHECK(reading.settings.stack.tools[1].embeddings.empty());
  const std::string offline =
      "api_key is a placeholder: the offline provider answers; set OPENAI_API_KEY, or give a key "
      "or a base_url";
  CHECK(reading.warned() ==
        Told{"0: not listening on 127.0.0.1:8000: vector_db is said to be there",
             "9: stack.decision_maker.ai_client." + offline,
             "18: stack.tools[0].ai_client." + offline,
             ("23: stack.tools[1].embeddings is not used: the tool is offline, where passages are "
              "embedded by feature hashing"),
             "27: stack.tools[1].ai_client." + offline});
}

TEST_CASE("a placeholder is never sent as a key") {
  for (const Variables& variables : {Variables{}, Variables{{"OPENAI_API_KEY", "sk"}},
                                     Variables{{"OPENAI_BASE_URL", "http://h"}}}) {
    for (const auto& client : Reading(kSourceExample, variables).settings.models.named) {
      CHECK(client.api_key.find('<') == std::string::npos);
    }
  }
}

// ---- Where it is read from ----

TEST_CASE("without a stack there is the default one") {
  const std::string_view yaml = GENERATE("", "stack:", "stack: ~", "stack: {}");
  const Reading reading(yaml);
  CHECK(reading.told().empty());
  CHECK(reading.settings.stack.tools.size() == 2);
  CHECK(reading.settings.models.named.empty());
}

TEST_CASE("the file beside the server is read where it is there, and wins") {
  const test::TempDir directory;
  const std::string path = directory / "stack.yaml";
  const std::string own = "stack: {tools: [{name: own, role: b, kind: prompt}]}";
  CHECK(Reading(own, {}, path).settings.stack.tools.at(0).name == "own");
  std::ofstream(path) << "stack: {tools: [{name: beside, role: b, kind: prompt}]}";
  const Reading reading(own, {}, path);
  CHECK(reading.told().empty());
  REQUIRE(reading.settings.stack.tools.size() == 1);
  CHECK(reading.settings.stack.tools[0].name == "beside");
  CHECK(reading.warned() == Told{"1: stack is not used: " + path + " is"});
}

TEST_CASE("the file that the environment names wins over the one beside the server") {
  const test::TempDir directory;
  std::ofstream(directory / "a") << "stack: {tools: [{name: a, role: b, kind: prompt}]}";
  std::ofstream(directory / "b") << "stack: {tools: [{name: b, role: b, kind: prompt}]}";
  const Reading reading("", {{"STACK_CONFIG", directory / "a"}}, directory / "b");
  CHECK(reading.settings.stack.tools.at(0).name == "a");
}

TEST_CASE("a file that the environment names and that is not there is a problem") {
  CHECK(Reading("", {{"STACK_CONFIG", "/missing/stack"}}).told() ==
        Told{"0: cannot read /missing/stack"});
}

TEST_CASE("the problems of all files are told in one go, each with its file and line") {
  const test::TempDir directory;
  const std::string path = directory / "stack.yaml";
  std::ofstream(path) << "stack:\n  tools:\n    - name: a\n      kind: x\nother: 1\n";
  const Reading reading("cores: many\nstack: {tools: 5}\n", {{"LOG_LEVEL", "loud"}}, path);
  const Told told = reading.told();
  REQUIRE(told.size() == 6);
  CHECK(told[0].find("0: LOG_LEVEL") == 0);
  CHECK(told[1] == "1: cores must be a whole number from 0 to 256");
  CHECK(told[2] == "2: stack.tools must be a list");
  CHECK(told[3] == path + ":3: stack.tools[0].role is missing or empty: say what the tool is for");
  CHECK(told[4] == path + ":4: stack.tools[0].kind must be one of: prompt, rag");
  CHECK(told[5].find(path + ":5: other is not a known key; known are: stack") == 0);
}

TEST_CASE("a stack file without a stack is a problem") {
  const test::TempDir directory;
  const std::string path = directory / "stack.yaml";
  const std::string text = GENERATE("", "stack:\n", "stack: {}\n");
  std::ofstream(path) << text;
  const Told told = Reading("", {}, path).told();
  REQUIRE(told.size() == 1);
  CHECK(told[0].find("stack is missing: a stack file has the one key `stack`") !=
        std::string::npos);
}

TEST_CASE("a stack file that is not YAML is a problem, and so is a server's file beside it") {
  const test::TempDir directory;
  const std::string path = directory / "stack.yaml";
  std::ofstream(path) << "stack: [1, 2\n";
  const Told told = Reading("cores: [1\n", {}, path).told();
  REQUIRE(told.size() == 2);
  CHECK(told[0].find("not valid YAML: ") != std::string::npos);
  CHECK(told[1].find(path + ":") == 0);
}

TEST_CASE("a stack that is no mapping is one problem") {
  CHECK(Reading("\nstack: 5").told() == Told{"2: stack must be a mapping of keys to values"});
}

// ---- Tools ----

TEST_CASE("a wrong stack is a problem that says what is right") {
  const auto [yaml, told] = GENERATE(table<std::string, std::string>({
      {"stack:\n  tools: []", "2: stack.tools must list at least one tool"},
      {"stack:\n  vector_db: {kind: storage}", "2: stack.tools must list at least one tool"},
      {"stack: {tools: {}}", "1: stack.tools must be a list"},
      {"stack: {tools: [5]}", "1: stack.tools[0] must be a mapping of keys to values"},
      {with_tools("{role: b, kind: prompt}"),
       "1: stack.tools[0].name is missing or empty: answers name what gave them"},
      {with_tools("{name: '', role: b, kind: prompt}"),
       "1: stack.tools[0].name is missing or empty: answers name what gave them"},
      {with_tools("{name: [a], role: b, kind: prompt}"), "1: stack.tools[0].name must be a text"},
      {with_tools("{name: \"a\\nb\", role: b, kind: prompt}"),
       "1: stack.tools[0].name holds a control character"},
      {with_tools("{name: " + std::string(65, 'n') + ", role: b, kind: prompt}"),
       "1: stack.tools[0].name is longer than 64 bytes"},
      {with_tools("{name: a, role: b}"), "1: stack.tools[0].kind must be one of: prompt, rag"},
      {with_tools("{name: a, role: b, kind: magic}"),
       "1: stack.tools[0].kind must be one of: prompt, rag"},
      {with_tools("{name: a, kind: rag}"),
       "1: stack.tools[0].role is missing or empty: say what the tool is for"},
      {with_tools("{name: a, role: b, kind: rag}, {name: a, role: c, kind: prompt}"),
       "1: stack.tools[1].name 'a' is taken already; names differ"},
      {with_tools("{name: a, role: b, kind: prompt, embeddings: x}"),
       "1: stack.tools[0].embeddings belongs to a tool of kind rag"},
      {with_tools("{name: a, role: b, kind: rag, depth: 0}"),
       "1: stack.tools[0].depth must be a whole number from 1 to 50"},
      {with_tools("{name: a, role: b, kind: rag, depth: 51}"),
       "1: stack.tools[0].depth must be a whole number from 1 to 50"},
      {"stack: {decision_maker: {name: d, role: r, kind: rag},\n tools: [{name: a, role: b, kind: "
       "prompt}]}",
       "1: stack.decision_maker.kind must be one of: prompt"},
      {"stack: {decision_maker: {name: d, role: r},\n tools: [{name: decision_maker, role: b, "
       "kind: prompt}]}",
       "2: stack.tools[0].name 'decision_maker' is taken already; names differ"},
      {with_client("provider: magic, model: m"),
       "1: stack.tools[0].ai_client.provider must be openai or offline; another one needs the "
       "base_url of its OpenAI-compatible interface"},
      {with_client("model: m"),
       "1: stack.tools[0].ai_client.provider is missing or empty: openai, offline, or another one "
       "together with its base_url"},
      {with_client("provider: openai, base_url: h"),
       "1: stack.tools[0].ai_client.base_url must begin with http:// or https://"},
      {with_client("provider: other, base_url: 'http://h'"),
       "1: stack.tools[0].ai_client.model is missing or empty: name the model to call"},
      {with_client("provider: openai, api_key: a b"),
       "1: stack.tools[0].ai_client.api_key holds a blank or a control character, which a key may "
       "not"},
      {with_vector_db("provider: other"), "1: stack.vector_db.provider must be one of: chroma"},
      {with_vector_db("kind: disk"),
       "1: stack.vector_db.kind must be one of: in_memory, storage, remote"},
      {with_vector_db("kind: remote"), "1: stack.vector_db.host is needed by kind remote"},
      {with_vector_db("kind: remote, host: 'http://h'"),
       "1: stack.vector_db.host must be a host name or an address, without a scheme, a port or a "
       "path"},
      {with_vector_db("kind: remote, host: 'h:80'"),
       "1: stack.vector_db.host must be a host name or an address, without a scheme, a port or a "
       "path"},
      {with_vector_db("kind: remote, host: h, port: 0"),
       "1: stack.vector_db.port must be a whole number from 1 to 65535"},
      {with_vector_db("kind: remote, host: h, port: 65536"),
       "1: stack.vector_db.port must be a whole number from 1 to 65535"},
      {with_vector_db("kind: remote, host: h, secure: perhaps"),
       "1: stack.vector_db.secure must be true or false"},
  }));
  CAPTURE(yaml);
  CHECK(Reading(yaml, {{"OPENAI_API_KEY", "sk"}}).told() == Told{told});
}

TEST_CASE("more tools than a decision can weigh are a problem") {
  std::string tools;
  for (int i = 0; i < 65; ++i) {
    tools += "{name: t" + std::to_string(i) + ", role: b, kind: prompt},";
  }
  CHECK(Reading(with_tools(tools)).told() == Told{"1: stack.tools has more than 64 tools"});
}

TEST_CASE("one tool needs no decision maker, and several may do without") {
  const Reading one(with_tools("{name: a, role: b, kind: rag}"));
  CHECK(one.told().empty());
  CHECK_FALSE(one.settings.stack.decides_by_model);
  const Reading two(with_tools("{name: a, role: b, kind: rag}, {name: c, role: d, kind: prompt}"));
  CHECK(two.told().empty());
  CHECK_FALSE(two.settings.stack.decides_by_model);
}

TEST_CASE("a tool's depth is as many passages") {
  const Reading reading(with_tools("{name: a, role: b, kind: rag, depth: 50}"));
  CHECK(reading.told().empty());
  CHECK(reading.settings.stack.tools.at(0).depth == 50);
}

TEST_CASE("a depth on a prompt tool is a warning") {
  const Reading reading(with_tools("{name: a, role: b, kind: prompt, depth: 5}"));
  CHECK(reading.told().empty());
  CHECK(reading.warned() == Told{"1: stack.tools[0].depth has no effect on a tool of kind prompt"});
}

TEST_CASE("names and roles of any script are taken") {
  const Reading reading(with_tools("{name: وثائق, role: الإجابة من الوثائق, kind: rag}"));
  CHECK(reading.told().empty());
  CHECK(reading.settings.stack.tools.at(0).name == "وثائق");
}

// ---- Clients ----

TEST_CASE("a tool without a client uses the server's own providers") {
  const Reading reading(with_tools("{name: a, role: b, kind: prompt}"), {{"OPENAI_API_KEY", "sk"}});
  CHECK(reading.told().empty());
  CHECK(reading.settings.stack.tools.at(0).provider.empty());
  CHECK(reading.settings.models.named.empty());
}

TEST_CASE(
    "a decision by the server's own providers is one by a model where they are none offline") {
  const std::string yaml =
      "stack: {decision_maker: {name: d, role: r}, tools: [{name: a, role: b, kind: prompt}]}";
  CHECK(Reading(yaml, {{"OPENAI_API_KEY", "sk"}}).settings.stack.decides_by_model);
  CHECK_FALSE(Reading(yaml).settings.stack.decides_by_model);
}

TEST_CASE("a key of the file wins over the environment's") {
  const Reading reading(with_client("provider: openai, model: m, api_key: own"),
                        {{"OPENAI_API_KEY", "sk"}});
  CHECK(reading.named("stack/a").api_key == "own");
}

TEST_CASE("the environment's key is not sent to another upstream") {
  const std::string client = GENERATE("provider: openai, base_url: 'http://h:1/v1', model: m",
                                      "provider: ollama, base_url: 'http://h:1/v1', model: m",
                                      "provider: ollama, base_url: 'http://h:1/v1', model: m, "
                                      "api_key: <none>");
  const Reading reading(with_client(client), {{"OPENAI_API_KEY", "sk"}});
  CHECK(reading.told().empty());
  CHECK(reading.named("stack/a").api_key.empty());
  CHECK(reading.named("stack/a").kind == LlmKind::openai);
  CHECK(reading.named("stack/a").base_url == "http://h:1/v1");
}

TEST_CASE("an openai client without a base_url calls where OpenAI's own clients would") {
  CHECK(Reading(with_client("provider: openai, api_key: k")).named("stack/a").base_url ==
        "https://api.openai.com/v1");
  const Reading other(with_client("provider: openai"),
                      {{"OPENAI_BASE_URL", "http://h:1"}, {"OPENAI_MODEL", "small"}});
  CHECK(other.named("stack/a").base_url == "http://h:1");
  CHECK(other.named("stack/a").model == "small");
  CHECK(other.named("stack/a").kind == LlmKind::openai);
}

TEST_CASE("a missing key where one is needed is offline, with a warning") {
  const Reading reading(with_client("provider: openai, model: m"));
  CHECK(reading.told().empty());
  CHECK(reading.named("stack/a").kind == LlmKind::offline);
  CHECK(reading.warned().size() == 1);
}

TEST_CASE("an offline client takes what the others have and uses none of it") {
  const Reading reading(with_client("provider: offline, model: m, api_key: k, base_url: x"));
  CHECK(reading.told().empty());
  CHECK(reading.named("stack/a").kind == LlmKind::offline);
  CHECK(reading.named("stack/a").api_key.empty());
}

// ---- Variables ----

TEST_CASE("a variable stands for itself in any value") {
  const Reading reading(
      "stack:\n  tools:\n    - name: ${T}_tool\n      role: a ${T} of ${T}s\n      kind: ${K}\n"
      "      depth: ${D}\n      ai_client: {provider: openai, model: m, api_key: \"${KEY}\"}\n"
      "  vector_db: {kind: remote, host: \"${T}.example\", port: \"${P}\", secure: \"${S}\"}\n",
      {{"T", "t"}, {"K", "rag"}, {"D", "7"}, {"KEY", "sk"}, {"P", "81"}, {"S", "true"}});
  CHECK(reading.told().empty());
  REQUIRE(reading.settings.stack.tools.size() == 1);
  CHECK(reading.settings.stack.tools[0].name == "t_tool");
  CHECK(reading.settings.stack.tools[0].role == "a t of ts");
  CHECK(reading.settings.stack.tools[0].depth == 7);
  CHECK(reading.named("stack/t_tool").api_key == "sk");
  CHECK(reading.settings.documents.chroma_url == "https://t.example:81");
}

TEST_CASE("a variable that is not set is a problem that names it") {
  CHECK(Reading(with_client("provider: openai, api_key: '${MY_KEY}'")).told() ==
        Told{"1: stack.tools[0].ai_client.api_key names MY_KEY, which is not set"});
}

TEST_CASE("a variable's own text is not read for variables") {
  const Reading reading(with_tools("{name: a, role: '${A}', kind: prompt}"),
                        {{"A", "${B}"}, {"B", "x"}});
  CHECK(reading.settings.stack.tools.at(0).role == "${B}");
}

TEST_CASE("what only looks like a variable is text") {
  const std::string role = GENERATE("$A", "${", "${}", "${A", "${A B}", "a$", "{A}");
  CHECK(Reading(with_tools("{name: a, role: '" + role + "', kind: prompt}"))
            .settings.stack.tools.at(0)
            .role == role);
}

TEST_CASE("a variable that is not UTF-8 is a problem where text is needed") {
  CHECK(Reading(with_tools("{name: a, role: '${A}', kind: prompt}"), {{"A", "\xff"}}).told() ==
        Told{"1: stack.tools[0].role is not valid UTF-8"});
}

TEST_CASE("no problem and no warning shows a key") {
  const Reading reading(
      "stack:\n  tools:\n    - {name: a, role: b, kind: x, ai_client: {provider: openai, api_key: "
      "sec ret}}\n    - {name: c, role: d, kind: prompt, ai_client: {provider: secret, api_key: "
      "\"${K}\", x: 1}}\n",
      {{"K", "secret"}});
  CHECK(reading.problems.size() >= 4);
  for (const Told& list : {reading.told(), reading.warned()}) {
    for (const std::string& text : list) {
      CAPTURE(text);
      CHECK(text.find("secret") == std::string::npos);
      CHECK(text.find("sec ret") == std::string::npos);
    }
  }
}

// ---- Where passages are found ----

TEST_CASE("both kinds of this process are embedded, with a warning for what has no effect") {
  const std::string kind = GENERATE("in_memory", "storage");
  const Reading reading(with_vector_db("provider: chroma, kind: " + kind + ", path: ./x, port: 1"));
  CHECK(reading.told().empty());
  CHECK(reading.settings.documents.backend == rag::Options::Backend::embedded);
  CHECK(reading.settings.documents.chroma_url.empty());
  CHECK(reading.warned() ==
        Told{"1: stack.vector_db.path is not used: passages lie in the data directory",
             "1: stack.vector_db.port is used by kind remote only"});
}

TEST_CASE("a remote database is called where it says") {
  const auto [members, url] = GENERATE(table<std::string, std::string>({
      {"host: chroma.example", "http://chroma.example:8000"},
      {"host: 10.0.0.7, port: 81, secure: true", "https://10.0.0.7:81"},
      {"host: localhost", "http://localhost:8000"},
      {"host: '::1'", "http://[::1]:8000"},
      {"host: '[2001:db8::1]'", "http://[2001:db8::1]:8000"},
      {"host: '::'", "http://[::1]:8000"},
      {"host: 0.0.0.0", "http://127.0.0.1:8000"},
  }));
  const Reading reading(with_vector_db("kind: remote, " + members));
  CHECK(reading.told().empty());
  CHECK(reading.settings.documents.chroma_url == url);
}

}  // namespace
}  // namespace parlance::config
