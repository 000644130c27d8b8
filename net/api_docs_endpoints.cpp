#include "net/api_docs_endpoints.h"

#include <algorithm>
#include <array>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include <fmt/format.h>
#include <openssl/sha.h>

#include "base/check.h"
#include "base/embedded_file.h"
#include "net/header_list.h"

namespace parlance::net {

std::span<const EmbeddedFile> api_docs_files();

namespace {

constexpr std::string_view kDocsPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// Redoc makes style elements, an empty one to be filled by script and one with the text of the
/// second hash, and runs its search in a worker that it makes itself.
constexpr std::string_view kRedocPolicy =
    "default-src 'none'; script-src 'self'; "
    "style-src 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=' "
    "'sha256-QMIg+bpjm3JdElJ388KYke01izlUW0UoNOeKjpMxdgc='; img-src data:; "
    "connect-src 'self'; worker-src blob:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'";
constexpr std::string_view kOtherPolicy = "default-src 'none'; frame-ancestors 'none'";

struct Stored {
  std::string_view bytes;
  std::string etag;
};

std::string etag_of(std::string_view bytes) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), digest.data());
  std::string out = "\"";
  for (std::size_t i = 0; i < 16; ++i) out += fmt::format("{:02x}", digest[i]);
  return out + '"';
}

/// By name; what is gzipped ends in ".gz".
const std::map<std::string_view, Stored>& stored_files() {
  static const auto files = [] {
    std::map<std::string_view, Stored> out;
    for (const EmbeddedFile& file : api_docs_files()) {
      out.emplace(file.name, Stored{file.bytes, etag_of(file.bytes)});
    }
    return out;
  }();
  return files;
}

std::string_view name_of(const Route& route) {
  switch (route.endpoint) {
    case Endpoint::openapi:
      return "openapi.json";
    case Endpoint::asyncapi:
      return "asyncapi.json";
    case Endpoint::docs:
      return "docs.html";
    case Endpoint::redoc:
      return "redoc.html";
    default:
      return route.name;
  }
}

std::string_view content_type_of(std::string_view name) {
  if (name.ends_with(".json")) return "application/json";
  if (name.ends_with(".html")) return "text/html; charset=utf-8";
  if (name.ends_with(".css")) return "text/css; charset=utf-8";
  return "text/javascript; charset=utf-8";
}

std::string_view policy_of(Endpoint endpoint) {
  if (endpoint == Endpoint::docs) return kDocsPolicy;
  return endpoint == Endpoint::redoc ? kRedocPolicy : kOtherPolicy;
}

/// Whether an Accept-Encoding names gzip and gives it no weight, or one over zero.
bool takes_gzip(std::string_view accept_encoding) {
  return any_item(accept_encoding, [](std::string_view item) {
    const std::size_t semicolon = std::min(item.find(';'), item.size());
    if (trimmed(item.substr(0, semicolon)) != "gzip") return false;
    const std::string_view weight = trimmed(item.substr(std::min(semicolon + 1, item.size())));
    return !weight.starts_with("q=0") || weight.find_first_of("123456789") < weight.size();
  });
}

}  // namespace

HttpResponse api_document(const HttpRequest& request) {
  const std::string_view name = name_of(request.route);
  const auto& files = stored_files();
  const bool is_script = name.ends_with(".js") || name.ends_with(".css");
  if ((request.route.endpoint == Endpoint::docs_file && !is_script) || !files.contains(name)) {
    return to_response({.status = 404, .detail = "there is nothing here"}, request.id);
  }
  const bool gzip = takes_gzip(request.accept_encoding);
  const auto found = files.find(gzip ? std::string(name) + ".gz" : std::string(name));
  CHECK(found != files.end());
  const Stored& file = found->second;

  HttpResponse response{.content_type = content_type_of(name), .cache_control = "no-cache"};
  response.headers = {{"ETag", file.etag},
                      {"Vary", "Accept-Encoding"},
                      {"Content-Security-Policy", std::string(policy_of(request.route.endpoint))},
                      {"Referrer-Policy", "no-referrer"}};
  if (names_etag(request.if_none_match, file.etag)) {
    response.status = 304;
    return response;
  }
  if (gzip) response.headers.emplace_back("Content-Encoding", "gzip");
  response.body.reserve(file.bytes.size() + kHeadBytes);
  response.body = file.bytes;
  return response;
}

}  // namespace parlance::net
