#include "benchmarks/upstream/embeddings.h"

#include <cctype>
#include <cmath>
#include <cstring>
#include <stdexcept>

#include <fmt/format.h>
#include <rapidjson/document.h>

#include "benchmarks/upstream/chat_reply.h"
#include "benchmarks/upstream/vocabulary.h"

namespace parlance::benchmarks {
namespace {

constexpr size_t kDimensions = 256;
constexpr size_t kDimensionsMax = 8'192;
constexpr size_t kCoordinatesPerWord = 8;

bool is_separator(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte < 0x80 && std::isalnum(byte) == 0;
}

const rapidjson::Value* find_member(const rapidjson::Value& object, const char* key) {
  const auto member = object.FindMember(key);
  return member == object.MemberEnd() ? nullptr : &member->value;
}

/// The text of a string member, or `otherwise`.
std::string_view text_of(const rapidjson::Value& object, const char* key,
                         std::string_view otherwise) {
  const auto* value = find_member(object, key);
  if (value == nullptr || !value->IsString()) return otherwise;
  return {value->GetString(), value->GetStringLength()};
}

size_t dimensions_of(const rapidjson::Value& request) {
  const auto* value = find_member(request, "dimensions");
  if (value == nullptr) return kDimensions;
  if (!value->IsUint() || value->GetUint() == 0 || value->GetUint() > kDimensionsMax) {
    throw std::invalid_argument("\"dimensions\" must be 1 to 8192");
  }
  return value->GetUint();
}

std::string base64(std::string_view bytes) {
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    for (size_t k = 0; k < 3; ++k) {
      group = group << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0u);
    }
    for (size_t k = 0; k < 4; ++k) {
      out += i + k <= bytes.size() ? kAlphabet[group >> (18 - 6 * k) & 63] : '=';
    }
  }
  return out;
}

std::string encoded(const std::vector<float>& vector, bool as_base64) {
  if (as_base64) {
    std::string bytes(vector.size() * sizeof(float), '\0');
    std::memcpy(bytes.data(), vector.data(), bytes.size());
    return '"' + base64(bytes) + '"';
  }
  return fmt::format("[{:.7g}]", fmt::join(vector, ","));
}

/// The inputs as texts: a string, or a list of strings; a list of token numbers becomes its digits.
std::vector<std::string> inputs_of(const rapidjson::Value& input) {
  std::vector<std::string> result;
  const auto tokens_text = [](const rapidjson::Value& tokens) {
    std::string text;
    for (const auto& token : tokens.GetArray()) {
      if (!token.IsUint()) throw std::invalid_argument("\"input\" holds something unexpected");
      text += fmt::format("{} ", token.GetUint());
    }
    return text;
  };
  if (input.IsString()) {
    result.emplace_back(input.GetString(), input.GetStringLength());
  } else if (input.IsArray() && !input.Empty() && input[0].IsUint()) {
    result.push_back(tokens_text(input));
  } else if (input.IsArray() && !input.Empty()) {
    for (const auto& element : input.GetArray()) {
      if (element.IsString()) {
        result.emplace_back(element.GetString(), element.GetStringLength());
      } else if (element.IsArray()) {
        result.push_back(tokens_text(element));
      } else {
        throw std::invalid_argument("\"input\" holds something unexpected");
      }
    }
  } else {
    throw std::invalid_argument("\"input\" must be a string or a filled array");
  }
  return result;
}

}  // namespace

std::vector<float> embed(std::string_view text, size_t dimensions) {
  std::vector<float> vector(dimensions, 0.0f);
  std::string word;
  const auto add_word = [&] {
    if (word.empty()) return;
    for (size_t i = 0; i < kCoordinatesPerWord; ++i) {
      const uint64_t draw = mix(hash_of(word) + i);
      vector[(draw >> 1) % dimensions] += (draw & 1) != 0 ? 1.0f : -1.0f;
    }
    word.clear();
  };
  for (const char c : text) {
    if (is_separator(c)) {
      add_word();
    } else {
      word += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
  }
  add_word();
  float square = 0;
  for (const float value : vector) square += value * value;
  if (square == 0) {
    vector[0] = 1;
    return vector;
  }
  for (float& value : vector) value /= std::sqrt(square);
  return vector;
}

std::string embeddings_body(std::string_view request_body) {
  rapidjson::Document request;
  request.Parse(request_body.data(), request_body.size());
  if (request.HasParseError() || !request.IsObject()) {
    throw std::invalid_argument("the body is not a JSON object");
  }
  const auto* input = find_member(request, "input");
  if (input == nullptr) throw std::invalid_argument("\"input\" is missing");
  const size_t dimensions = dimensions_of(request);
  const bool as_base64 = text_of(request, "encoding_format", "float") == "base64";
  const std::string_view model = text_of(request, "model", "simulated-embedding");
  std::string data;
  size_t tokens = 0;
  size_t index = 0;
  for (const std::string& text : inputs_of(*input)) {
    if (index > 0) data += ',';
    fmt::format_to(std::back_inserter(data),
                   R"({{"object":"embedding","index":{},"embedding":{}}})", index,
                   encoded(embed(text, dimensions), as_base64));
    tokens += 1 + text.size() / 4;
    ++index;
  }
  return fmt::format(
      R"({{"object":"list","data":[{}],"model":"{}","usage":{{"prompt_tokens":{},"total_tokens":{}}}}})",
      data, json_escaped(model), tokens, tokens);
}

}  // namespace parlance::benchmarks
