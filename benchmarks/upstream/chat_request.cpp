#include "benchmarks/upstream/chat_request.h"

#include <algorithm>
#include <stdexcept>

#include <rapidjson/document.h>

namespace parlance::benchmarks {
namespace {

constexpr uint64_t kBytesPerToken = 4;

const rapidjson::Value* find(const rapidjson::Value& object, const char* key) {
  const auto member = object.FindMember(key);
  return member == object.MemberEnd() ? nullptr : &member->value;
}

bool is_true(const rapidjson::Value* value) {
  return value != nullptr && value->IsTrue();
}

std::string_view text_of(const rapidjson::Value& value) {
  return {value.GetString(), value.GetStringLength()};
}

/// A message's content is a string, null, or a list of parts of which some are text.
template <class Visit>
void for_each_text(const rapidjson::Value& message, Visit visit) {
  const auto* content = find(message, "content");
  if (content == nullptr) return;
  if (content->IsString()) visit(text_of(*content));
  if (!content->IsArray()) return;
  for (const auto& part : content->GetArray()) {
    if (!part.IsObject()) continue;
    const auto* text = find(part, "text");
    if (text != nullptr && text->IsString()) visit(text_of(*text));
  }
}

void read_messages(const rapidjson::Value& messages, ChatRequest& out) {
  uint64_t bytes = 0;
  for (const auto& message : messages.GetArray()) {
    if (!message.IsObject()) throw std::invalid_argument("every message must be an object");
    const auto* role = find(message, "role");
    if (role == nullptr || !role->IsString()) {
      throw std::invalid_argument("every message must have a role");
    }
    for_each_text(message, [&](std::string_view text) { bytes += text.size(); });
  }
  const auto& last = messages[messages.Size() - 1];
  for_each_text(last, [&](std::string_view text) { out.last_content.append(text); });
  out.last_is_tool = text_of(last["role"]) == "tool";
  out.prompt_tokens = std::max<uint64_t>(1, bytes / kBytesPerToken);
}

}  // namespace

ChatRequest parse_chat_request(std::string_view body) {
  rapidjson::Document document;
  document.Parse(body.data(), body.size());
  if (document.HasParseError() || !document.IsObject()) {
    throw std::invalid_argument("the body is not a JSON object");
  }
  const auto* messages = find(document, "messages");
  if (messages == nullptr || !messages->IsArray() || messages->Empty()) {
    throw std::invalid_argument("\"messages\" must be a filled array");
  }
  ChatRequest out;
  const auto* model = find(document, "model");
  out.model = model != nullptr && model->IsString() ? std::string(text_of(*model)) : "simulated";
  out.stream = is_true(find(document, "stream"));
  if (const auto* options = find(document, "stream_options"); options && options->IsObject()) {
    out.include_usage = is_true(find(*options, "include_usage"));
  }
  for (const char* key : {"max_tokens", "max_completion_tokens"}) {
    const auto* value = find(document, key);
    if (value != nullptr && value->IsUint()) out.tokens_max = value->GetUint();
  }
  read_messages(*messages, out);
  return out;
}

}  // namespace parlance::benchmarks
