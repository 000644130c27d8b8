#include "benchmarks/upstream/canned.h"

#include <fmt/format.h>

#include "benchmarks/upstream/chat_reply.h"
#include "benchmarks/upstream/vocabulary.h"

namespace parlance::benchmarks {

std::string_view reason_of(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 413:
      return "Content Too Large";
    case 429:
      return "Too Many Requests";
    case 500:
      return "Internal Server Error";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    default:
      return "Simulated";
  }
}

std::string_view error_type_of(int status) {
  if (status == 429) return "rate_limit_error";
  if (status == 401 || status == 403) return "authentication_error";
  return status < 500 ? "invalid_request_error" : "server_error";
}

std::string garbage_bytes(uint64_t seed) {
  constexpr size_t kBytes = 512;
  std::string out;
  while (out.size() < kBytes) out += static_cast<char>(mix(seed + out.size()) & 0xFF);
  return out;
}

std::string_view models_body() {
  return R"({"object":"list","data":[)"
         R"({"id":"simulated","object":"model","created":1700000000,"owned_by":"parlance"},)"
         R"({"id":"simulated-embedding","object":"model","created":1700000000,"owned_by":"parlance"}]})";
}

std::string model_body(std::string_view id) {
  return fmt::format(R"({{"id":"{}","object":"model","created":1700000000,"owned_by":"parlance"}})",
                     json_escaped(id));
}

}  // namespace parlance::benchmarks
