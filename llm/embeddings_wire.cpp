#include "llm/embeddings_wire.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "base/json.h"
#include "llm/openai_wire.h"

namespace parlance::llm {
namespace {

Error not_embeddings(std::string why) {
  return {Errc::failed_precondition, std::move(why)};
}

const rapidjson::Value* find_array(const rapidjson::Value& object, const char* name) {
  if (!object.IsObject()) return nullptr;
  const auto found = object.FindMember(name);
  return found != object.MemberEnd() && found->value.IsArray() ? &found->value : nullptr;
}

/// Which of `count` texts `entry` belongs to; `count` when it does not say.
std::size_t index_of(const rapidjson::Value& entry, std::size_t count) {
  if (!entry.IsObject()) return count;
  const auto found = entry.FindMember("index");
  if (found == entry.MemberEnd() || !found->value.IsUint64()) return count;
  return std::min<std::size_t>(found->value.GetUint64(), count);
}

/// The numbers of one vector, scaled to length 1.
Result<std::vector<float>> read_vector(const rapidjson::Value& numbers,
                                       std::size_t dimensions_max) {
  if (numbers.Empty() || numbers.Size() > dimensions_max) {
    return not_embeddings(fmt::format("answered with a vector of {} numbers; 1 to {} are allowed",
                                      numbers.Size(), dimensions_max));
  }
  double square = 0;
  for (const rapidjson::Value& number : numbers.GetArray()) {
    if (!number.IsNumber()) return not_embeddings("answered with a vector that holds no numbers");
    const double value = number.GetDouble();
    square += value * value;
  }
  if (!std::isfinite(square)) {
    return not_embeddings("answered with a vector whose numbers are too big");
  }
  const double length = std::sqrt(square);
  if (!(length > 0))
    return not_embeddings("answered with a vector of zeros, which has no direction");
  std::vector<float> out;
  out.reserve(numbers.Size());
  for (const rapidjson::Value& number : numbers.GetArray()) {
    out.push_back(static_cast<float>(number.GetDouble() / length));
  }
  return out;
}

}  // namespace

std::string encode_embeddings_request(std::string_view model, std::span<const std::string> texts) {
  std::size_t bytes = model.size() + 64;
  for (const std::string& text : texts) bytes += text.size() + text.size() / 8 + 3;
  std::string out;
  out.reserve(bytes);
  out += "{\"model\":";
  json::append_string(out, model);
  out += R"(,"encoding_format":"float","input":[)";
  for (const std::string& text : texts) {
    json::append_string(out, text);
    out += ',';
  }
  if (out.back() == ',') out.pop_back();
  out += "]}";
  return out;
}

Result<std::vector<std::vector<float>>> decode_embeddings(std::string_view body, std::size_t count,
                                                          std::size_t dimensions_max,
                                                          std::string_view secret) {
  const auto parsed = json::parse(body);
  if (!parsed) return Error{Errc::unavailable, "answered with something that is not JSON"};
  const rapidjson::Value* data = find_array(*parsed, "data");
  if (data == nullptr) {
    if (!parsed->IsObject() || !parsed->HasMember("error")) {
      return not_embeddings("answered with JSON that holds no embeddings");
    }
    return not_embeddings("reported an error: " + error_sentence(body, secret));
  }
  if (data->Size() != count) {
    return not_embeddings(
        fmt::format("answered with {} embeddings for {} texts", data->Size(), count));
  }
  std::vector<std::vector<float>> out(count);
  for (const rapidjson::Value& entry : data->GetArray()) {
    const rapidjson::Value* numbers = find_array(entry, "embedding");
    const std::size_t index = index_of(entry, count);
    if (numbers == nullptr || index == count || !out[index].empty()) {
      return not_embeddings("answered with embeddings that do not belong to one text each");
    }
    auto vector = read_vector(*numbers, dimensions_max);
    if (!vector) return std::move(vector).error();
    out[index] = std::move(*vector);
  }
  for (const auto& vector : out) {
    if (vector.size() != out[0].size()) {
      return not_embeddings("answered with vectors of different lengths");
    }
  }
  return out;
}

}  // namespace parlance::llm
