#include "dialects/kiss_answer.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "base/json.h"

namespace parlance::dialects::kiss {
namespace {

double number_of(const rapidjson::Value& object, const char* name) {
  const auto it = object.FindMember(name);
  return it != object.MemberEnd() && it->value.IsNumber() ? it->value.GetDouble() : 0;
}

std::uint64_t place_of(const rapidjson::Value& object, const char* name) {
  const auto it = object.FindMember(name);
  return it != object.MemberEnd() && it->value.IsUint64() ? it->value.GetUint64() : 0;
}

std::string text_of(const rapidjson::Value& object, const char* name) {
  const rapidjson::Value* const text = json::find_string(object, name);
  return text == nullptr ? std::string() : std::string(json::view(*text));
}

void append_number(std::string& out, double number) {
  if (std::isfinite(number)) {
    out += fmt::format("{}", number);
  } else {
    out += "null";
  }
}

void append_count(std::string& out, std::uint64_t number) {
  json::append_int(out, static_cast<std::int64_t>(number));
}

void append_document(std::string& out, const UsedPassage& passage, const PassageText* text) {
  out += R"({"id":")";
  out += to_string(passage.id);
  out += R"(","document_id":)";
  json::append_string(out, passage.document_id);
  out += R"(,"name":)";
  json::append_string(out, passage.name);
  out += fmt::format(R"(,"span":[{},{}],"score":)", passage.begin, passage.end);
  append_number(out, passage.score);
  out += R"(,"distance":)";
  append_number(out, passage.distance);
  out += R"(,"text":)";
  if (text == nullptr) {
    out += "null";
  } else if (text->text.size() > kPassageInlineBytesMax) {
    out += fmt::format(R"(null,"bytes":{},"href":"/passages/{}")", text->text.size(),
                       to_string(passage.id));
  } else {
    json::append_string(out, text->text);
  }
  out += '}';
}

}  // namespace

bool RunReader::add(const RecordedEvent& event) {
  if (ended_ || message_of(event.event) != message_) return ended_;
  if (const auto* step = std::get_if<StepRecorded>(&event.event)) {
    take(*step);
  } else if (const auto* end = std::get_if<RunEnded>(&event.event)) {
    ended_ = true;
    usage_ = end->usage;
    if (end->outcome == RunOutcome::cancelled) {
      problem_ = to_problem({Errc::cancelled, "the query was cancelled before its answer"});
    }
  } else if (const auto* failure = std::get_if<RunFailed>(&event.event)) {
    ended_ = true;
    problem_ = to_problem({failure->code, failure->error});
  }
  return ended_;
}

void RunReader::take(const StepRecorded& step) {
  if (step.type == StepType::planning && !step.tool_calls.empty()) {
    tool_ = step.tool_calls.front().name;
  } else if (step.type == StepType::action && !step.tool_results.empty()) {
    take_passages(step.tool_results.front().output);
  } else if (step.type == StepType::final_answer) {
    text_ = step.text;
  }
}

/// Where the output is not what the retrieval writes, it is of a search that failed, and so will
/// the run say.
void RunReader::take_passages(const std::string& output) {
  const Result<rapidjson::Document> parsed = json::parse(output);
  if (!parsed || !parsed->IsObject()) return;
  embeddings_ = text_of(*parsed, "embeddings");
  passages_.clear();
  const auto list = parsed->FindMember("passages");
  if (list == parsed->MemberEnd() || !list->value.IsArray()) return;
  for (const rapidjson::Value& one : list->value.GetArray()) {
    if (!one.IsObject()) continue;
    const std::optional<PassageId> id = parse_passage_id(text_of(one, "id"));
    if (!id) continue;
    passages_.push_back({.id = *id,
                         .document_id = text_of(one, "document_id"),
                         .name = text_of(one, "name"),
                         .begin = place_of(one, "begin"),
                         .end = place_of(one, "end"),
                         .score = number_of(one, "score"),
                         .distance = number_of(one, "distance")});
  }
}

std::vector<PassageId> RunReader::passages() const {
  std::vector<PassageId> ids;
  for (const UsedPassage& passage : passages_) ids.push_back(passage.id);
  return ids;
}

std::variant<std::string, Problem> RunReader::answer(const SessionId& client,
                                                     std::string_view query,
                                                     std::span<const PassageText> texts) const {
  if (problem_) return *problem_;
  if (!ended_) {  // It had ended; so a close has erased it since.
    return to_problem({Errc::failed_precondition, "the session was closed meanwhile"});
  }

  const auto text_by_id = [&](const PassageId& id) -> const PassageText* {
    const auto it = std::find_if(texts.begin(), texts.end(),
                                 [&](const PassageText& text) { return text.id == id; });
    return it == texts.end() ? nullptr : &*it;
  };
  std::string metadata, distances, documents;
  for (const UsedPassage& passage : passages_) {
    if (!documents.empty()) {
      metadata += ',';
      distances += ',';
      documents += ',';
    }
    const PassageText* const text = text_by_id(passage.id);
    metadata += text == nullptr || text->metadata.empty() ? "{}" : text->metadata;
    append_number(distances, passage.distance);
    append_document(documents, passage, text);
  }

  std::string out = R"({"stack_id":)";
  json::append_string(out, client.text);
  out += R"(,"result":)";
  json::append_string(out, text_);
  out += R"(,"extras":{"query":)";
  json::append_string(out, query);
  out += R"(,"tool":)";
  if (tool_.empty()) {
    out += "null";
  } else {
    json::append_string(out, tool_);
  }
  out += R"(,"metadata":[)" + metadata + R"(],"distances":[)" + distances +
         R"(],"supporting_documents":[)" + documents + R"(],"usage":{"prompt_tokens":)";
  append_count(out, usage_.tokens_in);
  out += R"(,"completion_tokens":)";
  append_count(out, usage_.tokens_out);
  out += R"(,"total_tokens":)";
  append_count(out, usage_.tokens_in + usage_.tokens_out);
  out += '}';
  if (!embeddings_.empty()) {
    out += R"(,"embeddings":)";
    json::append_string(out, embeddings_);
  }
  out += R"(,"message_id":)";
  json::append_string(out, message_.text);
  out += "}}";
  return out;
}

}  // namespace parlance::dialects::kiss
