#include "net/web_pages.h"

#include <span>
#include <string_view>

#include "net/embedded_files.h"

namespace parlance::net {

std::span<const EmbeddedFile> web_files();

namespace {

/// 'self' of connect-src takes in WebSockets of this host and port.
constexpr std::string_view kPagePolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "media-src 'self' blob:; connect-src 'self'; font-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'";
constexpr std::string_view kAssetPolicy = "default-src 'none'; frame-ancestors 'none'";

std::string_view name_of(const Route& route) {
  if (route.endpoint == Endpoint::chat_page) return "index.html";
  if (route.endpoint == Endpoint::console_page) return "console.html";
  return route.name;
}

}  // namespace

HttpResponse web_page(const HttpRequest& request) {
  static const EmbeddedFiles files(web_files());
  const std::string_view name = name_of(request.route);
  const bool is_asset = request.route.endpoint == Endpoint::asset;
  const bool servable = !is_asset || !(name.ends_with(".html") || name.ends_with(".gz"));
  if (!servable || !files.has(name)) {
    return to_response({.status = 404, .detail = "there is nothing here"}, request.id);
  }
  HttpResponse response = files.answer(name, request, is_asset ? kAssetPolicy : kPagePolicy);
  // Another content has another name.
  if (is_asset) response.cache_control = "public, max-age=31536000, immutable";
  // At the same address others are told about the server.
  if (request.route.endpoint == Endpoint::chat_page)
    response.headers.emplace_back("Vary", "Accept");
  return response;
}

}  // namespace parlance::net
