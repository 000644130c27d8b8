#include "config/stack.h"

#include <algorithm>
#include <cstdint>
#include <set>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "base/json.h"
#include "config/checks.h"
#include "config/endpoint.h"

namespace parlance::config {
namespace {

using Kind = llm::ProviderOptions::Kind;

constexpr std::size_t kToolsMax = 64;
constexpr std::size_t kNameBytesMax = 64;
constexpr std::size_t kModelBytesMax = 256;
constexpr std::size_t kRoleBytesMax = 8 << 10;
constexpr int kDepthMax = 50;
constexpr int kChromaPort = 8'000;
constexpr const char* kDecisionMaker = "decision_maker";

bool is_placeholder(std::string_view key) {
  return key.size() >= 2 && key.front() == '<' && key.back() == '>';
}

bool has_control_character(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; });
}

void warn(Settings& out, const Section& section, const char* key, std::string_view text) {
  out.warnings.push_back({section.line(key), fmt::format("{} {}", section.path(key), text)});
}

/// A text that has to be there, within `bytes_max`.
std::string read_text(Section& section, const char* key, std::size_t bytes_max,
                      const char* what_for) {
  std::string out;
  const std::size_t before = section.problem_count();
  section.read(key, out);
  if (section.problem_count() != before) return {};
  if (out.empty()) {
    section.missing(key, fmt::format("is missing or empty: {}", what_for));
  } else if (out.size() > bytes_max) {
    section.problem(key, fmt::format("is longer than {} bytes", bytes_max));
  } else if (!json::valid_utf8(out)) {
    section.problem(key, "is not valid UTF-8");
  }
  return out;
}

std::string read_name(Section& section) {
  std::string out = read_text(section, "name", kNameBytesMax, "answers name what gave them");
  if (has_control_character(out)) section.problem("name", "holds a control character");
  return out;
}

/// One of `known`; anything else, or nothing, is a problem that lists them.
std::string read_one_of(Section& section, const char* key, std::string value,
                        std::initializer_list<std::string_view> known) {
  const std::size_t before = section.problem_count();
  section.read(key, value);
  if (section.problem_count() == before &&
      std::find(known.begin(), known.end(), value) == known.end()) {
    section.missing(key, fmt::format("must be one of: {}", fmt::join(known, ", ")));
    value.clear();
  }
  return value;
}

/// Whether calls that name no provider are answered by the offline one.
bool default_is_offline(const llm::Options& models) {
  return models.providers.empty() || models.providers.front().kind == Kind::offline;
}

void read_key(Section& section, const Environment& environment, bool openai_itself,
              llm::ProviderOptions& client, Settings& out) {
  std::string key;
  section.read("api_key", key);
  const bool placeholder = is_placeholder(key);
  if (placeholder) {
    key.clear();
  } else if (const auto wrong = problem_with_client_key(key); !key.empty() && !wrong.empty()) {
    section.problem("api_key", std::string(wrong));
    return;
  }
  if (key.empty() && openai_itself) key = environment("OPENAI_API_KEY");
  client.api_key = std::move(key);
  const bool needs_key = openai_itself && environment("OPENAI_BASE_URL").empty();
  std::string_view instead = "calls are made without a key";
  if (needs_key && client.api_key.empty()) {
    client.kind = Kind::offline;
    instead = "the offline provider answers; set OPENAI_API_KEY, or give a key or a base_url";
  } else if (!client.api_key.empty()) {
    instead = "OPENAI_API_KEY is used";
  }
  if (placeholder) {
    warn(out, section, "api_key", fmt::format("is a placeholder: {}", instead));
  } else if (needs_key && client.api_key.empty()) {
    warn(out, section, "api_key", fmt::format("is missing: {}", instead));
  }
}

/// Where the calls of a client go: its own base_url, or where OpenAI's own clients would call.
void read_base_url(Section& section, const Environment& environment, const std::string& provider,
                   llm::ProviderOptions& client) {
  if (section.has("base_url")) {
    section.read("base_url", client.base_url);
    check_base_url(section, "base_url", client.base_url);
    return;
  }
  if (provider == "openai") {
    if (std::string url = environment("OPENAI_BASE_URL"); !url.empty()) {
      client.base_url = std::move(url);
    }
  } else if (!provider.empty()) {
    section.missing("provider",
                    "must be openai or offline; another one needs the base_url of its "
                    "OpenAI-compatible interface");
  }
}

void read_model(Section& section, const Environment& environment, const std::string& provider,
                llm::ProviderOptions& client) {
  const bool has_default = provider == "openai" || provider == "offline";
  if (section.has("model") || !has_default) {
    client.model = read_text(section, "model", kModelBytesMax, "name the model to call");
    return;
  }
  std::string unused;
  section.read("model", unused);
  if (std::string model = environment("OPENAI_MODEL"); !model.empty()) {
    client.model = std::move(model);
  }
}

llm::ProviderOptions read_client(Section section, const Environment& environment,
                                 const std::string& name, Settings& out) {
  llm::ProviderOptions client;
  client.name = name;
  client.kind = Kind::openai;
  const std::string provider =
      read_text(section, "provider", kNameBytesMax,
                "openai, offline, or another one together with its base_url");
  read_model(section, environment, provider, client);
  if (provider == "offline") {
    client.kind = Kind::offline;
    for (const char* key : {"api_key", "base_url", "ca_file"}) {
      std::string unused;
      section.read(key, unused);
    }
  } else {
    read_base_url(section, environment, provider, client);
    section.read("ca_file", client.ca_file);
    check_ca_file(section, "ca_file", client.ca_file);
    const bool openai_itself = provider == "openai" && !section.has("base_url");
    read_key(section, environment, openai_itself, client, out);
  }
  section.finish();
  return client;
}

/// The name that the calls of `owner` give: of its own client, or nothing for the default ones.
std::string read_provider_name(Section& owner, const Environment& environment,
                               const std::string& name, Settings& out) {
  if (owner.is_empty("ai_client")) {
    owner.section("ai_client");
    return {};
  }
  std::string provider = fmt::format("stack/{}", name);
  out.models.named.push_back(read_client(owner.section("ai_client"), environment, provider, out));
  return provider;
}

bool is_offline(const llm::Options& models, const std::string& provider) {
  if (provider.empty()) return default_is_offline(models);
  const auto found = std::find_if(models.named.begin(), models.named.end(),
                                  [&](const auto& one) { return one.name == provider; });
  return found != models.named.end() && found->kind == Kind::offline;
}

void read_decision_maker(Section section, const Environment& environment, Settings& out) {
  read_name(section);
  out.stack.decision_role =
      read_text(section, "role", kRoleBytesMax, "say by what a tool is picked");
  read_one_of(section, "kind", "prompt", {"prompt"});
  out.stack.decision_provider = read_provider_name(section, environment, kDecisionMaker, out);
  // What is offline cannot read roles.
  out.stack.decides_by_model = !is_offline(out.models, out.stack.decision_provider);
  section.finish();
}

void read_rag_keys(Section& section, agent::StackTool& tool, Settings& out) {
  if (section.has("embeddings")) {
    tool.embeddings = read_text(section, "embeddings", kModelBytesMax,
                                "leave it out to embed offline, by feature hashing");
  }
  int depth = static_cast<int>(tool.depth);
  section.read("depth", depth, 1, kDepthMax);
  tool.depth = static_cast<std::size_t>(depth);
  if (tool.kind == agent::StackTool::Kind::rag) {
    if (!tool.embeddings.empty() && is_offline(out.models, tool.provider)) {
      warn(out, section, "embeddings",
           "is not used: the tool is offline, where passages are embedded by feature hashing");
      tool.embeddings.clear();
    }
    return;
  }
  if (section.has("embeddings")) section.problem("embeddings", "belongs to a tool of kind rag");
  if (section.has("depth")) warn(out, section, "depth", "has no effect on a tool of kind prompt");
}

agent::StackTool read_tool(Section section, const Environment& environment, Settings& out) {
  agent::StackTool tool;
  tool.name = read_name(section);
  tool.role = read_text(section, "role", kRoleBytesMax, "say what the tool is for");
  if (read_one_of(section, "kind", {}, {"prompt", "rag"}) == "rag") {
    tool.kind = agent::StackTool::Kind::rag;
  }
  tool.provider = read_provider_name(section, environment, tool.name, out);
  read_rag_keys(section, tool, out);
  section.finish();
  return tool;
}

void read_tools(Section& section, const Environment& environment, Settings& out) {
  out.stack.tools.clear();
  const std::size_t before = section.problem_count();
  std::vector<Section> tools = section.sections("tools");
  if (tools.empty() && section.problem_count() == before) {
    section.missing("tools", "must list at least one tool");
  }
  std::set<std::string> names;
  if (section.has(kDecisionMaker)) names.insert(kDecisionMaker);
  for (Section& one : tools) {
    if (out.stack.tools.size() == kToolsMax) {
      section.problem("tools", fmt::format("has more than {} tools", kToolsMax));
      return;
    }
    agent::StackTool tool = read_tool(one, environment, out);
    if (!tool.name.empty() && !names.insert(tool.name).second) {
      one.problem("name", fmt::format("'{}' is taken already; names differ", tool.name));
    }
    out.stack.tools.push_back(std::move(tool));
  }
}

/// "http://host:port", where a server that listens on all addresses of this machine is called on
/// loopback.
std::string chroma_url(std::string host, int port, bool secure) {
  if (host == "0.0.0.0") host = "127.0.0.1";
  if (host == "::" || host == "[::]") host = "::1";
  if (host.find(':') != std::string::npos && host.front() != '[') host = "[" + host + "]";
  return fmt::format("{}://{}:{}", secure ? "https" : "http", host, port);
}

void read_vector_db(Section section, Settings& out) {
  read_one_of(section, "provider", "chroma", {"chroma"});
  const std::string kind =
      read_one_of(section, "kind", "in_memory", {"in_memory", "storage", "remote"});
  std::string path;
  std::string host;
  int port = kChromaPort;
  bool secure = false;
  section.read("path", path);
  section.read("host", host);
  section.read("port", port, 1, 65'535);
  section.read("secure", secure);
  if (!host.empty() && !possible_host(host)) {
    section.problem("host",
                    "must be a host name or an address, without a scheme, a port or a path");
  }
  const bool remote = kind == "remote";
  if (remote && host.empty()) section.missing("host", "is needed by kind remote");
  if (section.has("path")) {
    warn(out, section, "path",
         remote ? "is not used by kind remote" : "is not used: passages lie in the data directory");
  }
  for (const char* key : {"host", "port", "secure"}) {
    if (!remote && section.has(key)) warn(out, section, key, "is used by kind remote only");
  }
  out.documents.backend = remote ? rag::Options::Backend::chroma : rag::Options::Backend::embedded;
  out.documents.chroma_url = remote && !host.empty() ? chroma_url(host, port, secure) : "";
  section.finish();
}

}  // namespace

void read_stack(Section section, const Environment& environment, Settings& out) {
  section.expand(environment);
  out.stack = agent::Stack();
  if (section.has(kDecisionMaker)) {
    read_decision_maker(section.section(kDecisionMaker), environment, out);
  } else {
    section.section(kDecisionMaker);
  }
  read_tools(section, environment, out);
  read_vector_db(section.section("vector_db"), out);
  section.finish();
}

void read_stack_file(const std::string& path, const Environment& environment, Settings& out,
                     std::vector<Problem>& problems) {
  const auto text = read_file(path);
  if (!text) {
    problems.push_back({0, text.error().detail});
    return;
  }
  std::vector<Problem> found;
  const std::size_t warnings_before = out.warnings.size();
  if (const auto document = parse_yaml(*text, found)) {
    Section root(*document, "", found);
    const bool has_stack = !root.is_empty("stack");
    const std::size_t before = found.size();
    Section section = root.section("stack");
    if (has_stack && found.size() == before) {
      read_stack(std::move(section), environment, out);
    } else if (found.empty()) {
      root.missing("stack", "is missing: a stack file has the one key `stack`");
    }
    root.finish();
  }
  for (Problem& problem : found) problem.file = path;
  for (std::size_t i = warnings_before; i < out.warnings.size(); ++i) out.warnings[i].file = path;
  problems.insert(problems.end(), found.begin(), found.end());
}

}  // namespace parlance::config
