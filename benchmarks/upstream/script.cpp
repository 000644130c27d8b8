#include "benchmarks/upstream/script.h"

#include <algorithm>
#include <array>
#include <limits>
#include <stdexcept>

#include <fmt/format.h>
#include <rapidjson/document.h>
#include <rapidjson/error/en.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

namespace parlance::benchmarks {
namespace {

constexpr uint64_t kHugeLineBytesMax = 1ull << 30;
constexpr double kSpeechMsMax = 36e6;

/// Reads the keys of one entry and remembers which were read, so that a misspelt one is an error.
class EntryReader {
 public:
  EntryReader(const rapidjson::Value& entry, size_t number) : entry_(entry), number_(number) {
    if (!entry.IsObject()) complain("must be an object");
  }

  const rapidjson::Value* find(const char* key) {
    const auto member = entry_.FindMember(key);
    if (member == entry_.MemberEnd()) return nullptr;
    read_.emplace_back(key);
    return &member->value;
  }

  void read(const char* key, bool& out) {
    if (const auto* value = find(key)) {
      if (!value->IsBool()) complain(key, "must be true or false");
      out = value->GetBool();
    }
  }

  template <class Number>
  void read_number(const char* key, Number& out) {
    const auto* value = find(key);
    if (value == nullptr) return;
    if constexpr (std::is_floating_point_v<Number>) {
      if (!value->IsNumber() || value->GetDouble() < 0) complain(key, "must be a number >= 0");
      out = static_cast<Number>(value->GetDouble());
    } else {
      if (!value->IsUint64() || value->GetUint64() > std::numeric_limits<Number>::max()) {
        complain(key, "must be a whole number >= 0");
      }
      out = static_cast<Number>(value->GetUint64());
    }
  }

  template <class Number>
  void read(const char* key, std::optional<Number>& out) {
    if (entry_.HasMember(key)) read_number(key, out.emplace());
  }

  void read(const char* key, std::optional<std::string>& out) {
    if (const auto* value = find(key)) out = string_of(key, *value);
  }

  std::string string_of(const char* key, const rapidjson::Value& value) const {
    if (!value.IsString()) complain(key, "must be a string");
    return {value.GetString(), value.GetStringLength()};
  }

  void refuse_unread() const {
    for (const auto& member : entry_.GetObject()) {
      const std::string key = member.name.GetString();
      if (std::find(read_.begin(), read_.end(), key) == read_.end()) {
        complain(key.c_str(), "is not a key of a behaviour");
      }
    }
  }

  [[noreturn]] void complain(const char* key, const char* what) const {
    throw std::invalid_argument(fmt::format("script entry {}: \"{}\" {}", number_, key, what));
  }

  [[noreturn]] void complain(const char* what) const {
    throw std::invalid_argument(fmt::format("script entry {} {}", number_, what));
  }

 private:
  const rapidjson::Value& entry_;
  size_t number_;
  std::vector<std::string> read_;
};

std::string to_json(const rapidjson::Value& value) {
  rapidjson::StringBuffer buffer;
  rapidjson::Writer<rapidjson::StringBuffer> writer(buffer);
  value.Accept(writer);
  return {buffer.GetString(), buffer.GetSize()};
}

const rapidjson::Value* find_member(const rapidjson::Value& object, const char* key) {
  const auto member = object.FindMember(key);
  return member == object.MemberEnd() ? nullptr : &member->value;
}

void read_tool_calls(EntryReader& reader, Behaviour& out) {
  const auto* calls = reader.find("tool_calls");
  if (calls == nullptr) return;
  if (!calls->IsArray() || calls->Empty()) reader.complain("tool_calls", "must be a filled array");
  for (const auto& call : calls->GetArray()) {
    const auto* name = call.IsObject() ? find_member(call, "name") : nullptr;
    if (name == nullptr) reader.complain("tool_calls", "must hold objects with a \"name\"");
    ScriptedToolCall result;
    result.name = reader.string_of("tool_calls[].name", *name);
    if (const auto* id = find_member(call, "id")) {
      result.id = reader.string_of("tool_calls[].id", *id);
    }
    const auto* arguments = find_member(call, "arguments");
    if (arguments == nullptr) {
      result.arguments = "{}";
    } else {
      result.arguments =
          arguments->IsString() ? std::string(arguments->GetString()) : to_json(*arguments);
    }
    out.tool_calls.push_back(std::move(result));
  }
}

void read_usage(EntryReader& reader, Behaviour& out) {
  const auto* usage = reader.find("usage");
  if (usage == nullptr) return;
  if (!usage->IsObject()) reader.complain("usage", "must be an object");
  const auto count = [&](const char* key) -> std::optional<uint64_t> {
    const auto member = usage->FindMember(key);
    if (member == usage->MemberEnd()) return std::nullopt;
    if (!member->value.IsUint64()) reader.complain("usage", "must hold whole numbers");
    return member->value.GetUint64();
  };
  out.prompt_tokens = count("prompt_tokens");
  out.completion_tokens = count("completion_tokens");
}

void read_garbage(EntryReader& reader, Behaviour& out) {
  const auto* garbage = reader.find("garbage");
  if (garbage == nullptr) return;
  if (garbage->IsBool()) {
    out.garbage = garbage->GetBool() ? Garbage::body : Garbage::none;
  } else if (garbage->IsString() && std::string_view(garbage->GetString()) == "http") {
    out.garbage = Garbage::http;
  } else {
    reader.complain("garbage", "must be true, false or \"http\"");
  }
}

void read_route(EntryReader& reader, Behaviour& out) {
  std::optional<std::string> route;
  reader.read("route", route);
  if (!route) return;
  const auto known = route_of(*route);
  if (!known) {
    reader.complain("route", "must be \"chat\", \"embeddings\", \"transcriptions\" or \"speech\"");
  }
  out.route = *known;
}

void read_faults(EntryReader& reader, Behaviour& out) {
  reader.read("retry_after", out.retry_after_s);
  reader.read("error_message", out.error_message);
  reader.read("never_answer", out.never_answer);
  reader.read_number("headers_ms", out.headers_ms);
  read_garbage(reader, out);
  reader.read("stall_after_tokens", out.stall_after_tokens);
  reader.read("stall_ms", out.stall_ms);
  reader.read("cut_at_byte", out.cut_at_byte);
  reader.read("reset", out.reset);
  reader.read_number("split_bytes", out.split_bytes);
  reader.read_number("split_ms", out.split_ms);
  reader.read("crlf", out.crlf);
  reader.read("comments", out.comments);
  reader.read("missing_done", out.missing_done);
  reader.read("malformed_json_at", out.malformed_json_at);
  reader.read("truncated_utf8_at", out.truncated_utf8_at);
  reader.read_number("huge_line_bytes", out.huge_line_bytes);
  reader.read("error_in_stream", out.error_in_stream);
  reader.read("error_after_tokens", out.error_after_tokens);
  reader.read("close", out.close);
}

Behaviour parse_entry(const rapidjson::Value& entry, size_t number) {
  EntryReader reader(entry, number);
  Behaviour out;
  reader.read("when", out.when);
  read_route(reader, out);
  reader.read("after_tool", out.after_tool);
  reader.read("repeat", out.repeat);
  reader.read("text", out.text);
  reader.read("tokens", out.tokens);
  reader.read("first_token_ms", out.first_token_ms);
  reader.read("token_ms", out.token_ms);
  reader.read("batch", out.batch);
  reader.read("speech_ms", out.speech_ms);
  read_tool_calls(reader, out);
  reader.read_number("fragment_bytes", out.fragment_bytes);
  reader.read("interleave", out.interleave);
  reader.read("finish_reason", out.finish_reason);
  read_usage(reader, out);
  reader.read_number("status", out.status);
  read_faults(reader, out);
  reader.refuse_unread();

  if (out.speech_ms.value_or(0) > kSpeechMsMax) {
    reader.complain("speech_ms", "must be at most 36000000");
  }
  if (out.repeat == 0) reader.complain("repeat", "must be at least 1");
  if (out.batch == 0) reader.complain("batch", "must be at least 1");
  if (out.fragment_bytes == 0) reader.complain("fragment_bytes", "must be at least 1");
  if (out.status < 200 || out.status > 599) reader.complain("status", "must be 200 to 599");
  if (out.huge_line_bytes > kHugeLineBytesMax) {
    reader.complain("huge_line_bytes", "must be at most 1 GiB");
  }
  return out;
}

}  // namespace

std::optional<Route> route_of(std::string_view name) {
  if (name == "chat") return Route::chat;
  if (name == "embeddings") return Route::embeddings;
  if (name == "transcriptions") return Route::transcriptions;
  if (name == "speech") return Route::speech;
  return std::nullopt;
}

Script Script::parse(std::string_view json) {
  rapidjson::Document document;
  document.Parse<rapidjson::kParseCommentsFlag | rapidjson::kParseTrailingCommasFlag>(json.data(),
                                                                                      json.size());
  if (document.HasParseError()) {
    throw std::invalid_argument(fmt::format("script: not JSON at byte {}: {}",
                                            document.GetErrorOffset(),
                                            rapidjson::GetParseError_En(document.GetParseError())));
  }
  if (!document.IsArray()) throw std::invalid_argument("script: must be an array of behaviours");
  Script result;
  for (rapidjson::SizeType i = 0; i < document.Size(); ++i) {
    result.entries_.push_back({parse_entry(document[i], i), 0});
  }
  return result;
}

Behaviour Script::next(const ScriptQuestion& question) {
  Entry* entry = find_matching(question);
  if (entry == nullptr) entry = find_in_order(question);
  if (entry == nullptr) return {};
  ++entry->used;
  return entry->behaviour;
}

Script::Entry* Script::find_matching(const ScriptQuestion& question) {
  for (Entry& entry : entries_) {
    const Behaviour& behaviour = entry.behaviour;
    if (!behaviour.when || behaviour.route != question.route) continue;
    if (behaviour.repeat && entry.used >= *behaviour.repeat) continue;
    const bool asks_for_tools = !behaviour.tool_calls.empty() && !behaviour.after_tool;
    if (asks_for_tools && question.last_is_tool) continue;
    if (question.last_content.find(*behaviour.when) != std::string_view::npos) return &entry;
  }
  return nullptr;
}

Script::Entry* Script::find_in_order(const ScriptQuestion& question) {
  Entry* last = nullptr;
  for (Entry& entry : entries_) {
    if (entry.behaviour.when || entry.behaviour.route != question.route) continue;
    if (entry.used < entry.behaviour.repeat.value_or(1)) return &entry;
    last = &entry;
  }
  const bool asks_for_tools =
      last != nullptr && !last->behaviour.tool_calls.empty() && !last->behaviour.after_tool;
  if (asks_for_tools && question.last_is_tool) return nullptr;
  return last;
}

std::string_view script_help() {
  return R"(The script is a JSON array of behaviours, one per request; the last one stays, "repeat": n uses one n times.
An entry with "when": "text" applies to every request whose last message contains the text, before the others.
A request whose last message has the role "tool" is answered with text, unless the script's next entry says more.
Keys of an entry, all optional:
  when, repeat, route ("chat" | "embeddings" | "transcriptions" | "speech"), after_tool
  text, tokens, first_token_ms, token_ms, batch, speech_ms, finish_reason, usage {prompt_tokens, completion_tokens}
  tool_calls [{name, arguments, id}], fragment_bytes, interleave
  status, retry_after, error_message, never_answer, headers_ms, garbage (true | "http"), close
  stall_after_tokens, stall_ms, cut_at_byte, reset, split_bytes, split_ms, crlf, comments, missing_done
  malformed_json_at, truncated_utf8_at, huge_line_bytes, error_in_stream, error_after_tokens
benchmarks/upstream/script.h says what each of them does.)";
}

}  // namespace parlance::benchmarks
