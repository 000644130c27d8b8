#include "benchmarks/load/kiss_requests.h"

#include <iterator>

#include <fmt/format.h>

#include "benchmarks/load/chat_frames.h"

namespace parlance::benchmarks {

std::string kiss_request(const Address& address, std::string_view path, std::string_view token,
                         std::string_view body) {
  const std::string key = token.empty() ? "" : fmt::format("Authorization: Bearer {}\r\n", token);
  return fmt::format(
      "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n{}Content-Length: "
      "{}\r\n\r\n{}",
      path, address.text(), key, body.size(), body);
}

std::string query_body(std::string_view question) {
  return fmt::format(R"({{"query":"{}"}})", question);
}

std::string documents_body(const std::vector<std::string>& texts) {
  std::string body = R"({"files":[)";
  for (size_t i = 0; i < texts.size(); ++i) {
    fmt::format_to(std::back_inserter(body), R"({}{{"name":"file-{}.txt","content":"{}"}})",
                   i == 0 ? "" : ",", i, base64(texts[i]));
  }
  return body + "]}";
}

std::string base64(std::string_view bytes) {
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t at = 0; at < bytes.size(); at += 3) {
    const std::string_view group = bytes.substr(at, 3);
    uint32_t bits = 0;
    for (size_t i = 0; i < 3; ++i) {
      bits = bits << 8 | (i < group.size() ? static_cast<unsigned char>(group[i]) : 0U);
    }
    for (size_t i = 0; i < 4; ++i) {
      out += i <= group.size() ? kAlphabet[bits >> (18 - 6 * i) & 63] : '=';
    }
  }
  return out;
}

std::string_view access_token_in(std::string_view answer) {
  return string_member(answer, R"("access_token":")");
}

}  // namespace parlance::benchmarks
