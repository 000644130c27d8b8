#include "schemas/record_codec.h"

#include <bit>

#include "schemas/fields.h"

namespace parlance {
namespace {

using fields::Reader;
using fields::Writer;

constexpr std::uint8_t kVersion = 1;

/// Begins a record; ends the reading of one.
Writer begin(std::string& out) {
  Writer w(out);
  w.byte(kVersion);
  return w;
}

template <class Record>
Result<Record> checked(const Reader& r, Record record, const char* what) {
  if (!r.ok()) return Error{Errc::corrupted, std::string(what) + " cut short or out of range"};
  if (!r.at_end()) return Error{Errc::corrupted, std::string("bytes left over after ") + what};
  return record;
}

}  // namespace

std::string encode(const ClientRecord& client) {
  std::string out;
  Writer w = begin(out);
  w.byte(static_cast<std::uint8_t>(client.scope));
  w.byte(static_cast<std::uint8_t>(client.state));
  w.text(client.secret_hash);
  w.number(static_cast<std::uint64_t>(client.created_at.ms));
  w.number(client.last_set);
  return out;
}

Result<ClientRecord> decode_client(std::string_view bytes) {
  Reader r(bytes);
  if (r.byte() != kVersion) return Error{Errc::corrupted, "a client of an unknown version"};
  ClientRecord client;
  client.scope = static_cast<Scope>(r.byte_up_to(static_cast<std::uint8_t>(Scope::platform)));
  client.state = static_cast<LifecycleState>(
      r.byte_up_to(static_cast<std::uint8_t>(LifecycleState::deactivated)));
  client.secret_hash = r.text();
  client.created_at.ms = static_cast<std::int64_t>(r.number());
  client.last_set = r.number();
  return checked(r, std::move(client), "a client");
}

std::string encode(const DocumentSet& set) {
  std::string out;
  Writer w = begin(out);
  w.number(set.number);
  w.number(static_cast<std::uint64_t>(set.stored_at.ms));
  w.texts(set.tools);
  w.number(set.documents.size());
  for (const Document& document : set.documents) {
    w.text(document.id);
    w.text(document.name);
    w.text(document.type);
    w.text(document.metadata);
    w.number(document.text_bytes);
    w.number(document.passages);
  }
  return out;
}

Result<DocumentSet> decode_document_set(std::string_view bytes) {
  Reader r(bytes);
  if (r.byte() != kVersion) return Error{Errc::corrupted, "documents of an unknown version"};
  DocumentSet set;
  set.number = r.number();
  set.stored_at.ms = static_cast<std::int64_t>(r.number());
  set.tools = r.texts();
  for (std::size_t left = r.count(); left > 0 && r.ok(); --left) {
    Document& document = set.documents.emplace_back();
    document.id = r.text();
    document.name = r.text();
    document.type = r.text();
    document.metadata = r.text();
    document.text_bytes = r.number();
    document.passages = static_cast<std::uint32_t>(r.number());
  }
  return checked(r, std::move(set), "documents");
}

std::string encode(const Passage& passage) {
  std::string out;
  out.reserve(passage.text.size() + passage.terms.size() + 32);
  Writer w = begin(out);
  w.number(passage.document);
  w.number(passage.begin);
  w.number(passage.end);
  w.text(passage.text);
  w.text(passage.terms);
  return out;
}

Result<Passage> decode_passage(std::string_view bytes) {
  Reader r(bytes);
  if (r.byte() != kVersion) return Error{Errc::corrupted, "a passage of an unknown version"};
  Passage passage;
  passage.document = static_cast<std::uint32_t>(r.number());
  passage.begin = r.number();
  passage.end = r.number();
  passage.text = r.text();
  passage.terms = r.text();
  return checked(r, std::move(passage), "a passage");
}

namespace {

void write(Writer& w, const std::optional<std::string>& text) {
  w.byte(text ? 1 : 0);
  if (text) w.text(*text);
}

std::optional<std::string> read_optional_text(Reader& r) {
  if (r.byte_up_to(1) == 0) return std::nullopt;
  return r.text();
}

/// What agents and platform sessions begin with.
template <class Entity>
void write_head(Writer& w, const Entity& entity) {
  w.text(entity.id.text);
  w.number(static_cast<std::uint64_t>(entity.created_at.ms));
  w.number(static_cast<std::uint64_t>(entity.updated_at.ms));
  w.number(entity.version);
}

template <class Entity>
Entity read_head(Reader& r) {
  Entity entity;
  entity.id.text = r.text();
  entity.created_at.ms = static_cast<std::int64_t>(r.number());
  entity.updated_at.ms = static_cast<std::int64_t>(r.number());
  entity.version = r.number();
  return entity;
}

}  // namespace

std::string encode(const Agent& agent) {
  std::string out;
  Writer w = begin(out);
  write_head(w, agent);
  const AgentSettings& settings = agent.settings;
  w.text(settings.name);
  write(w, settings.description);
  w.text(settings.prompt);
  write(w, settings.model);
  w.byte(settings.temperature ? 1 : 0);
  if (settings.temperature) w.number(std::bit_cast<std::uint64_t>(*settings.temperature));
  write(w, settings.voice);
  w.texts(settings.tools);
  return out;
}

Result<Agent> decode_agent(std::string_view bytes) {
  Reader r(bytes);
  if (r.byte() != kVersion) return Error{Errc::corrupted, "an agent of an unknown version"};
  auto agent = read_head<Agent>(r);
  AgentSettings& settings = agent.settings;
  settings.name = r.text();
  settings.description = read_optional_text(r);
  settings.prompt = r.text();
  settings.model = read_optional_text(r);
  if (r.byte_up_to(1) == 1) settings.temperature = std::bit_cast<double>(r.number());
  settings.voice = read_optional_text(r);
  settings.tools = r.texts();
  return checked(r, std::move(agent), "an agent");
}

std::string encode(const PlatformSession& session) {
  std::string out;
  Writer w = begin(out);
  write_head(w, session);
  w.text(session.settings.agent.text);
  write(w, session.settings.title);
  w.text(session.settings.metadata);
  return out;
}

Result<PlatformSession> decode_platform_session(std::string_view bytes) {
  Reader r(bytes);
  if (r.byte() != kVersion) return Error{Errc::corrupted, "a session of an unknown version"};
  auto session = read_head<PlatformSession>(r);
  session.settings.agent.text = r.text();
  session.settings.title = read_optional_text(r);
  session.settings.metadata = r.text();
  return checked(r, std::move(session), "a platform session");
}

}  // namespace parlance
