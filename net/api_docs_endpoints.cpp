#include "net/api_docs_endpoints.h"

#include <span>
#include <string_view>

#include "base/embedded_file.h"
#include "net/embedded_files.h"

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

std::string_view policy_of(Endpoint endpoint) {
  if (endpoint == Endpoint::docs) return kDocsPolicy;
  return endpoint == Endpoint::redoc ? kRedocPolicy : kOtherPolicy;
}

}  // namespace

HttpResponse api_document(const HttpRequest& request) {
  const std::string_view name = name_of(request.route);
  static const EmbeddedFiles files(api_docs_files());
  const bool is_script = name.ends_with(".js") || name.ends_with(".css");
  if ((request.route.endpoint == Endpoint::docs_file && !is_script) || !files.has(name)) {
    return to_response({.status = 404, .detail = "there is nothing here"}, request.id);
  }
  return files.answer(name, request, policy_of(request.route.endpoint));
}

}  // namespace parlance::net
