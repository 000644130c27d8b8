#include "net/embedded_files.h"

#include <array>

#include <fmt/format.h>
#include <openssl/sha.h>

#include "base/check.h"
#include "net/header_list.h"

namespace parlance::net {
namespace {

std::string etag_of(std::string_view bytes) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), digest.data());
  std::string out = "\"";
  for (std::size_t i = 0; i < 16; ++i) out += fmt::format("{:02x}", digest[i]);
  return out + '"';
}

std::string_view content_type_of(std::string_view name) {
  constexpr std::pair<std::string_view, std::string_view> kTypes[] = {
      {".html", "text/html; charset=utf-8"},
      {".js", "text/javascript; charset=utf-8"},
      {".css", "text/css; charset=utf-8"},
      {".json", "application/json"},
      {".svg", "image/svg+xml"},
      {".png", "image/png"},
      {".woff2", "font/woff2"},
  };
  for (const auto& [ending, type] : kTypes) {
    if (name.ends_with(ending)) return type;
  }
  return "application/octet-stream";
}

}  // namespace

EmbeddedFiles::EmbeddedFiles(std::span<const EmbeddedFile> files) {
  for (const EmbeddedFile& file : files) {
    files_.emplace(file.name, Stored{file.bytes, etag_of(file.bytes)});
  }
}

HttpResponse EmbeddedFiles::answer(std::string_view name, const HttpRequest& request,
                                   std::string_view policy) const {
  auto found = files_.find(std::string(name) + ".gz");
  const bool gzip =
      found != files_.end() &&
      any_item(request.accept_encoding, [](std::string_view item) { return wants(item, "gzip"); });
  if (!gzip) found = files_.find(name);
  CHECK(found != files_.end());
  const Stored& file = found->second;

  HttpResponse response{.content_type = content_type_of(name), .cache_control = "no-cache"};
  response.headers = {{"ETag", file.etag},
                      {"Vary", "Accept-Encoding"},
                      {"Content-Security-Policy", std::string(policy)},
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
