#include "llm/speech_wire.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "base/json.h"
#include "llm/openai_wire.h"

namespace parlance::llm {
namespace {

constexpr std::string_view kSpace = " \t\r\n";
constexpr std::size_t kLanguageBytesMax = 64;

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

/// Where `characters` code points of `text` end; its size when it has no more.
std::size_t bytes_of(std::string_view text, std::size_t characters) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool begins = (static_cast<unsigned char>(text[i]) & 0xc0) != 0x80;
    if (begins && characters-- == 0) return i;
  }
  return text.size();
}

std::string without_space(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (static_cast<unsigned char>(c) > ' ') out += c;
  }
  return out;
}

}  // namespace

std::string encode_speech_request(std::string_view model, std::string_view voice,
                                  std::string_view text) {
  std::string out;
  out.reserve(model.size() + voice.size() + text.size() + text.size() / 8 + 80);
  out += "{\"model\":";
  json::append_string(out, model);
  out += ",\"voice\":";
  json::append_string(out, voice);
  out += R"(,"response_format":"mp3","input":)";
  json::append_string(out, text);
  out += '}';
  return out;
}

Result<Transcript> decode_transcript(std::string_view body, std::size_t text_bytes_max,
                                     std::string_view secret) {
  const auto parsed = json::parse(body);
  if (!parsed) return Error{Errc::unavailable, "answered with something that is not JSON"};
  const rapidjson::Value* text = parsed->IsObject() ? json::find_string(*parsed, "text") : nullptr;
  if (text == nullptr) {
    const bool told = parsed->IsObject() && parsed->HasMember("error");
    return Error{Errc::failed_precondition,
                 told ? "reported an error: " + error_sentence(body, secret)
                      : std::string("answered with JSON that holds no transcript")};
  }
  Transcript out;
  out.text = trimmed(json::view(*text));
  if (out.text.size() > text_bytes_max) {
    return Error{Errc::resource_exhausted,
                 fmt::format("answered with a transcript of {} bytes; at most {} are allowed",
                             out.text.size(), text_bytes_max)};
  }
  if (const auto* language = json::find_string(*parsed, "language")) {
    if (json::view(*language).size() <= kLanguageBytesMax) out.language = json::view(*language);
  }
  return out;
}

bool may_be_mp3(std::string_view content_type) {
  std::string type(trimmed(content_type.substr(0, content_type.find(';'))));
  std::transform(type.begin(), type.end(), type.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  constexpr std::array<std::string_view, 6> kTypes{"audio/mpeg",  "audio/mp3",
                                                   "audio/mpeg3", "audio/x-mpeg",
                                                   "audio/x-mp3", "application/octet-stream"};
  return std::find(kTypes.begin(), kTypes.end(), type) != kTypes.end();
}

std::size_t speech_piece(std::string_view text, std::size_t characters_max) {
  const std::size_t most = bytes_of(text, characters_max);
  if (most == text.size()) return most;
  // The one behind is looked at too: a sentence may end exactly where the piece does.
  const std::string_view head = text.substr(0, most);
  constexpr std::array<std::string_view, 7> kEnds{".",      "!",      "?",     "\n",
                                                  "\u061f", "\u06d4", "\u3002"};
  std::size_t end = 0;
  for (const std::string_view mark : kEnds) {
    for (std::size_t at = head.rfind(mark); at != std::string_view::npos && at >= end;
         at = at == 0 ? std::string_view::npos : head.rfind(mark, at - 1)) {
      const std::size_t behind = at + mark.size();
      // Not the point of "3.5".
      const bool ends = mark.size() > 1 || mark == "\n" || kSpace.find(text[behind]) != kSpace.npos;
      if (!ends) continue;
      end = std::max(end, behind);
      break;
    }
  }
  if (end > 0) return end;
  const std::size_t space = head.find_last_of(kSpace);
  return space == std::string_view::npos ? most : space + 1;
}

bool may_repeat(std::string_view sentence, std::string_view text) {
  constexpr std::size_t kWindow = 16;
  if (sentence.find("\\u") != std::string_view::npos) return true;
  const std::string said = without_space(sentence);
  const std::string own = without_space(text);
  const std::size_t window = std::min(kWindow, own.size());
  if (window == 0) return false;
  for (std::size_t at = 0; at + window <= said.size(); ++at) {
    if (own.find(said.substr(at, window)) != std::string::npos) return true;
  }
  return false;
}

}  // namespace parlance::llm
