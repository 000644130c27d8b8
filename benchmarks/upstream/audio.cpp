#include "benchmarks/upstream/audio.h"

#include <cmath>
#include <stdexcept>

#include <fmt/format.h>
#include <rapidjson/document.h>

#include "benchmarks/support/http.h"
#include "benchmarks/upstream/chat_reply.h"

namespace parlance::benchmarks {

std::string silent_mp3(double ms) {
  constexpr size_t kFrameBytes = 417;
  constexpr double kFrameMs = 1152.0 / 44.1;
  // All zeros behind the header: no bits for any of the frequencies.
  std::string frame("\xFF\xFB\x90\xC4", 4);
  frame.resize(kFrameBytes, '\0');
  const auto count = static_cast<size_t>(std::ceil(ms / kFrameMs));
  std::string out;
  out.reserve(count * kFrameBytes);
  for (size_t i = 0; i < count; ++i) out += frame;
  return out;
}

std::string transcript_body(std::string_view text) {
  return fmt::format(R"({{"text":"{}"}})", json_escaped(text));
}

void check_speech_request(std::string_view body) {
  rapidjson::Document request;
  request.Parse(body.data(), body.size());
  if (request.HasParseError() || !request.IsObject()) {
    throw std::invalid_argument("the body is not a JSON object");
  }
  for (const char* key : {"model", "input", "voice"}) {
    const auto member = request.FindMember(key);
    if (member == request.MemberEnd() || !member->value.IsString() ||
        member->value.GetStringLength() == 0) {
      throw std::invalid_argument(fmt::format("\"{}\" must be a filled string", key));
    }
  }
}

std::string form_summary(std::string_view head, std::string_view start, uint64_t bytes) {
  const auto parsed = parse_http_head(head);
  const auto type = parsed ? parsed->find("content-type") : std::nullopt;
  if (!type || type->substr(0, 20) != "multipart/form-data;") {
    throw std::invalid_argument("the body is not multipart/form-data");
  }
  const size_t file = start.find("filename=");
  const size_t content = file == std::string_view::npos ? file : start.find("\r\n\r\n", file);
  if (content == std::string_view::npos) throw std::invalid_argument("\"file\" is missing");
  return fmt::format(R"({{"bytes":{},"form":"{}"}})", bytes,
                     json_escaped(start.substr(0, content)));
}

}  // namespace parlance::benchmarks
