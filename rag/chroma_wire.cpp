#include "rag/chroma_wire.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "base/json.h"

namespace parlance::rag {
namespace {

constexpr std::size_t kNameBytesMin = 3;
constexpr std::size_t kNameBytesMax = 512;
constexpr std::size_t kIdBytesMax = 512;
constexpr std::size_t kFieldBytesMax = 256;
constexpr std::size_t kMetadataBytesMax = 64 << 10;
constexpr std::size_t kDocumentBytesMax = 1 << 20;
constexpr std::size_t kDimensionsMax = 16'384;

/// Of one request. Small, because a request is encoded in one go on a core's thread. Chroma itself
/// takes some thousand records at once.
constexpr std::size_t kBatchRecordsMax = 256;
constexpr std::size_t kBatchBytesMax = 512 << 10;

/// About what a number of an embedding takes as text.
constexpr std::size_t kFloatBytes = 12;

constexpr std::size_t kErrorNameBytesMax = 64;

Error invalid(std::string detail) {
  return {Errc::invalid_argument, std::move(detail)};
}

Error not_understood(std::string_view what) {
  return {Errc::unavailable, fmt::format("Chroma answered with something that is no {}", what)};
}

bool is_alphanumeric(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

template <class Number>
void append_number(std::string& out, Number number) {
  char digits[32];
  out.append(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
}

void append_embedding(std::string& out, std::span<const float> embedding) {
  out += '[';
  for (const float number : embedding) {
    append_number(out, number);
    out += ',';
  }
  out.back() = ']';
}

void append_strings(std::string& out, std::span<const std::string> texts) {
  out += '[';
  for (const std::string& text : texts) {
    json::append_string(out, text);
    out += ',';
  }
  if (out.back() == ',') out.pop_back();
  out += ']';
}

void append_value(std::string& out, const ChromaValue& value) {
  if (const auto* text = std::get_if<std::string>(&value)) {
    json::append_string(out, *text);
  } else if (const auto* whole = std::get_if<std::int64_t>(&value)) {
    json::append_int(out, *whole);
  } else if (const auto* number = std::get_if<double>(&value)) {
    const std::size_t start = out.size();
    append_number(out, *number);
    // Chroma keeps whole numbers and others apart, and tells them by their form.
    if (out.find_first_of(".e", start) == std::string::npos) out += ".0";
  } else {
    out += std::get<bool>(value) ? "true" : "false";
  }
}

/// Chroma has no empty metadata.
void append_metadata(std::string& out, const ChromaMetadata& metadata) {
  if (metadata.empty()) {
    out += "null";
    return;
  }
  char separator = '{';
  for (const auto& [field, value] : metadata) {
    out += separator;
    json::append_string(out, field);
    out += ':';
    append_value(out, value);
    separator = ',';
  }
  out += '}';
}

/// A condition on one field: {"field":{"operator":  ...and what `append_operand` adds... }}.
template <class AppendOperand>
std::string condition(std::string_view field, std::string_view comparison,
                      AppendOperand&& append_operand) {
  std::string out = "{";
  json::append_string(out, field);
  out += ":{\"";
  out += comparison;
  out += "\":";
  append_operand(out);
  out += "}}";
  return out;
}

Status check_record(const ChromaRecord& record, std::size_t dimensions) {
  if (record.id.empty() || record.id.size() > kIdBytesMax || !json::valid_utf8(record.id)) {
    return invalid(fmt::format("an id has to be 1 to {} bytes of UTF-8", kIdBytesMax));
  }
  if (record.document.size() > kDocumentBytesMax) {
    return invalid(fmt::format("a document of {} bytes; at most {} are allowed",
                               record.document.size(), kDocumentBytesMax));
  }
  if (!json::valid_utf8(record.document)) return invalid("a document that is not UTF-8");
  if (auto checked = check_metadata(record.metadata); !checked) return checked;
  if (record.embedding.size() != dimensions) {
    return invalid(fmt::format("an embedding of {} numbers among others of {}",
                               record.embedding.size(), dimensions));
  }
  return check_embedding(record.embedding);
}

std::size_t encoded_bytes(const ChromaRecord& record) {
  return record.id.size() + record.document.size() + record.embedding.size() * kFloatBytes;
}

// ---- Answers ----

const rapidjson::Value* member(const rapidjson::Value& object, const char* name) {
  if (!object.IsObject()) return nullptr;
  const auto found = object.FindMember(name);
  return found == object.MemberEnd() ? nullptr : &found->value;
}

/// The array `name` of `object`, inside one more array when `nested` (that of the only query).
const rapidjson::Value* find_array(const rapidjson::Value& object, const char* name, bool nested) {
  const rapidjson::Value* array = member(object, name);
  if (array == nullptr || !array->IsArray()) return nullptr;
  if (!nested) return array;
  if (array->Size() != 1 || !(*array)[0].IsArray()) return nullptr;
  return &(*array)[0];
}

ChromaMetadata read_metadata(const rapidjson::Value& value) {
  ChromaMetadata out;
  if (!value.IsObject()) return out;
  for (const auto& [name, fact] : value.GetObject()) {
    std::string field(json::view(name));
    if (fact.IsString()) {
      out.emplace(std::move(field), std::string(json::view(fact)));
    } else if (fact.IsInt64()) {
      out.emplace(std::move(field), fact.GetInt64());
    } else if (fact.IsNumber()) {
      out.emplace(std::move(field), fact.GetDouble());
    } else if (fact.IsBool()) {
      out.emplace(std::move(field), fact.GetBool());
    }
  }
  return out;
}

Result<ChromaCollection> read_collection(const rapidjson::Value& value) {
  const rapidjson::Value* id = json::find_string(value, "id");
  const rapidjson::Value* name = json::find_string(value, "name");
  if (id == nullptr || name == nullptr || !check_collection_id(json::view(*id))) {
    return not_understood("collection");
  }
  ChromaCollection out{std::string(json::view(*id)), std::string(json::view(*name)), {}};
  if (const rapidjson::Value* metadata = member(value, "metadata")) {
    out.metadata = read_metadata(*metadata);
  }
  return out;
}

bool has_cosine_space(const rapidjson::Value& collection) {
  const rapidjson::Value* configuration = member(collection, "configuration_json");
  if (configuration == nullptr) return true;  // An older server, which says nothing about it.
  for (const char* kind : {"hnsw", "spann"}) {
    const rapidjson::Value* index = member(*configuration, kind);
    if (index == nullptr || !index->IsObject()) continue;
    const rapidjson::Value* space = json::find_string(*index, "space");
    if (space != nullptr) return json::view(*space) == "cosine";
  }
  return true;
}

Result<std::vector<ChromaMatch>> read_matches(std::string_view body, bool query) {
  const auto parsed = json::parse(body);
  if (!parsed) return not_understood("list of records");
  const rapidjson::Value* ids = find_array(*parsed, "ids", query);
  const rapidjson::Value* documents = find_array(*parsed, "documents", query);
  const rapidjson::Value* metadatas = find_array(*parsed, "metadatas", query);
  const rapidjson::Value* distances = query ? find_array(*parsed, "distances", true) : ids;
  for (const rapidjson::Value* array : {ids, documents, metadatas, distances}) {
    if (array == nullptr || array->Size() != ids->Size()) return not_understood("list of records");
  }
  std::vector<ChromaMatch> out;
  out.reserve(ids->Size());
  for (rapidjson::SizeType i = 0; i < ids->Size(); ++i) {
    const rapidjson::Value& document = (*documents)[i];
    if (!(*ids)[i].IsString() || !(document.IsString() || document.IsNull()) ||
        (query && !(*distances)[i].IsNumber())) {
      return not_understood("list of records");
    }
    ChromaMatch& match = out.emplace_back();
    match.id = json::view((*ids)[i]);
    if (document.IsString()) match.document = json::view(document);
    match.metadata = read_metadata((*metadatas)[i]);
    if (query) match.distance = (*distances)[i].GetFloat();
  }
  return out;
}

}  // namespace

ChromaWhere ChromaWhere::equal(std::string_view field, const ChromaValue& value) {
  ChromaWhere out;
  out.json_ = condition(field, "$eq", [&](std::string& json) { append_value(json, value); });
  return out;
}

ChromaWhere ChromaWhere::at_most(std::string_view field, std::int64_t bound) {
  ChromaWhere out;
  out.json_ = condition(field, "$lte", [&](std::string& json) { json::append_int(json, bound); });
  return out;
}

ChromaWhere ChromaWhere::none_of(std::string_view field, std::span<const std::string> values) {
  ChromaWhere out;
  if (values.empty()) return out;
  out.json_ = condition(field, "$nin", [&](std::string& json) { append_strings(json, values); });
  return out;
}

ChromaWhere ChromaWhere::all(std::span<const ChromaWhere> parts) {
  ChromaWhere out;
  std::size_t count = 0;
  for (const ChromaWhere& part : parts) {
    if (part.matches_all()) continue;
    if (count++ > 0) out.json_ += ',';
    out.json_ += part.json_;
  }
  if (count > 1) out.json_ = "{\"$and\":[" + out.json_ + "]}";
  return out;
}

Status check_collection_name(std::string_view name) {
  const bool sized = name.size() >= kNameBytesMin && name.size() <= kNameBytesMax;
  const auto allowed = [](char c) {
    return is_alphanumeric(c) || c == '.' || c == '_' || c == '-';
  };
  const bool is_address = name.find_first_not_of("0123456789.") == std::string_view::npos;
  if (sized && is_alphanumeric(name.front()) && is_alphanumeric(name.back()) && !is_address &&
      std::all_of(name.begin(), name.end(), allowed) && name.find("..") == std::string_view::npos) {
    return {};
  }
  return invalid(
      fmt::format("a collection's name has to be {} to {} of A-Z a-z 0-9 . _ -, with a letter or "
                  "digit at both ends, without \"..\", and not digits and points alone",
                  kNameBytesMin, kNameBytesMax));
}

Status check_collection_id(std::string_view id) {
  constexpr std::size_t kUuidBytes = 36;
  const auto allowed = [](char c) { return is_alphanumeric(c) || c == '-'; };
  if (id.size() == kUuidBytes && std::all_of(id.begin(), id.end(), allowed)) return {};
  return invalid("a collection's id has to be a UUID");
}

Status check_embedding(std::span<const float> embedding) {
  if (embedding.empty() || embedding.size() > kDimensionsMax) {
    return invalid(fmt::format("an embedding of {} numbers; 1 to {} are allowed", embedding.size(),
                               kDimensionsMax));
  }
  if (!std::all_of(embedding.begin(), embedding.end(), [](float x) { return std::isfinite(x); })) {
    return invalid("an embedding with a number that is not finite");
  }
  return {};
}

Status check_metadata(const ChromaMetadata& metadata) {
  std::size_t bytes = 0;
  for (const auto& [field, value] : metadata) {
    if (field.empty() || field.size() > kFieldBytesMax || !json::valid_utf8(field)) {
      return invalid(fmt::format("a metadata field has to be named by 1 to {} bytes of UTF-8",
                                 kFieldBytesMax));
    }
    bytes += field.size();
    if (const auto* text = std::get_if<std::string>(&value)) {
      if (!json::valid_utf8(*text)) return invalid("a metadata value that is not UTF-8");
      bytes += text->size();
    } else if (const auto* number = std::get_if<double>(&value);
               number && !std::isfinite(*number)) {
      return invalid("a metadata value that is not finite");
    }
  }
  if (bytes > kMetadataBytesMax) {
    return invalid(
        fmt::format("metadata of {} bytes; at most {} are allowed", bytes, kMetadataBytesMax));
  }
  return {};
}

Status check_records(std::span<const ChromaRecord> records) {
  for (std::size_t i = 0; i < records.size(); ++i) {
    if (auto checked = check_record(records[i], records[0].embedding.size()); !checked) {
      return invalid(
          fmt::format("record {} of {}: {}", i + 1, records.size(), checked.error().detail));
    }
  }
  return {};
}

Status check_ids(std::span<const std::string> ids) {
  for (const std::string& id : ids) {
    if (id.empty() || id.size() > kIdBytesMax || !json::valid_utf8(id)) {
      return invalid(fmt::format("an id has to be 1 to {} bytes of UTF-8", kIdBytesMax));
    }
  }
  return {};
}

std::string encode_open_collection(std::string_view name, const ChromaMetadata& metadata) {
  std::string out = "{\"name\":";
  json::append_string(out, name);
  out += R"(,"get_or_create":true,"configuration":{"hnsw":{"space":"cosine"}},"metadata":)";
  append_metadata(out, metadata);
  out += '}';
  return out;
}

std::string encode_upsert(std::span<const ChromaRecord> records, std::size_t* next) {
  const std::size_t first = *next;
  CHECK(first < records.size());
  std::size_t bytes = encoded_bytes(records[first]);
  std::size_t last = first + 1;
  while (last < records.size() && last - first < kBatchRecordsMax) {
    bytes += encoded_bytes(records[last]);
    if (bytes > kBatchBytesMax) break;
    ++last;
  }
  *next = last;
  const auto batch = records.subspan(first, last - first);
  std::string out;
  out.reserve(bytes + bytes / 8);
  const auto append_array = [&](std::string_view name, auto&& append) {
    out += name;
    for (const ChromaRecord& record : batch) {
      append(record);
      out += ',';
    }
    out.back() = ']';
  };
  append_array("{\"ids\":[", [&](const auto& record) { json::append_string(out, record.id); });
  append_array(",\"embeddings\":[",
               [&](const auto& record) { append_embedding(out, record.embedding); });
  append_array(",\"documents\":[",
               [&](const auto& record) { json::append_string(out, record.document); });
  append_array(",\"metadatas\":[",
               [&](const auto& record) { append_metadata(out, record.metadata); });
  out += '}';
  return out;
}

std::string encode_query(std::span<const float> embedding, std::size_t results,
                         const ChromaWhere& where) {
  std::string out = "{\"query_embeddings\":[";
  append_embedding(out, embedding);
  out += "],\"n_results\":";
  json::append_int(out, static_cast<std::int64_t>(results));
  if (!where.matches_all()) out += ",\"where\":" + where.json();
  out += R"(,"include":["documents","metadatas","distances"]})";
  return out;
}

std::string encode_get(std::span<const std::string> ids) {
  std::string out = "{\"ids\":";
  append_strings(out, ids);
  out += R"(,"include":["documents","metadatas"]})";
  return out;
}

std::string encode_delete(std::span<const std::string> ids) {
  std::string out = "{\"ids\":";
  append_strings(out, ids);
  out += '}';
  return out;
}

std::string encode_delete(const ChromaWhere& where) {
  CHECK(!where.matches_all());
  return "{\"where\":" + where.json() + "}";
}

Result<ChromaCollection> decode_collection(std::string_view body) {
  const auto parsed = json::parse(body);
  if (!parsed) return not_understood("collection");
  if (!has_cosine_space(*parsed)) {
    return Error{Errc::failed_precondition,
                 "the collection is in Chroma already, with another measure than cosine distance"};
  }
  return read_collection(*parsed);
}

Result<std::vector<ChromaCollection>> decode_collections(std::string_view body) {
  const auto parsed = json::parse(body);
  if (!parsed || !parsed->IsArray()) return not_understood("list of collections");
  std::vector<ChromaCollection> out;
  out.reserve(parsed->Size());
  for (const rapidjson::Value& value : parsed->GetArray()) {
    auto collection = read_collection(value);
    if (!collection) return std::move(collection).error();
    out.push_back(std::move(*collection));
  }
  return out;
}

Result<std::vector<ChromaMatch>> decode_query(std::string_view body) {
  return read_matches(body, true);
}

Result<std::vector<ChromaMatch>> decode_get(std::string_view body) {
  return read_matches(body, false);
}

Result<std::size_t> decode_count(std::string_view body) {
  const auto parsed = json::parse(body);
  if (!parsed || !parsed->IsUint64()) return not_understood("number of records");
  return static_cast<std::size_t>(parsed->GetUint64());
}

Error refusal_of(int status, std::string_view body) {
  // Of what Chroma says only the name of the error is passed on: its sentence may quote a document.
  std::string name;
  bool about_dimension = false;
  if (const auto parsed = json::parse(body)) {
    if (const auto* error = json::find_string(*parsed, "error")) name = json::view(*error);
    const auto* message = json::find_string(*parsed, "message");
    about_dimension = message != nullptr && json::view(*message).starts_with(
                                                "Collection expecting "
                                                "embedding with dim");
  }
  if (name.size() > kErrorNameBytesMax || !std::all_of(name.begin(), name.end(), is_alphanumeric)) {
    name.clear();
  }
  if (status == 404 && name == "NotFoundError") {
    return {Errc::not_found, "Chroma has no such collection"};
  }
  if (status == 400 && about_dimension) {
    return {Errc::failed_precondition,
            "the collection in Chroma holds vectors of another length: they were made by another "
            "embeddings model"};
  }
  const std::string what =
      name.empty() ? fmt::format("HTTP {}", status) : fmt::format("HTTP {} ({})", status, name);
  if (status == 401 || status == 403) {
    return {Errc::unavailable, "Chroma wants credentials: it answered " + what};
  }
  if (status == 408) return {Errc::deadline_exceeded, "Chroma answered " + what};
  if (status == 429 || status >= 500) return {Errc::unavailable, "Chroma answered " + what};
  if (name.empty()) {
    return {
        Errc::unavailable,
        fmt::format("what answers as Chroma said {}: it is no Chroma, or one without HTTP API v2",
                    what)};
  }
  return {Errc::internal, "Chroma refused a request as wrong: " + what};
}

}  // namespace parlance::rag
