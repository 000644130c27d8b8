#include "net/websocket_handshake.h"

#include <algorithm>

#include <boost/beast/core/detail/base64.hpp>
#include <boost/beast/core/detail/sha1.hpp>

namespace parlance::net {
namespace {

namespace beast = boost::beast::detail;

constexpr std::size_t kKeyBytes = 16;
constexpr std::size_t kKeyTextBytes = 24;

bool valid_key(std::string_view key) {
  if (key.size() != kKeyTextBytes) return false;
  char decoded[beast::base64::decoded_size(kKeyTextBytes)];
  const auto [written, read] = beast::base64::decode(decoded, key.data(), key.size());
  return written == kKeyBytes && read == key.find('=');
}

}  // namespace

bool has_token(std::string_view list, std::string_view token) noexcept {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  while (!list.empty()) {
    std::string_view one = list.substr(0, list.find(','));
    list.remove_prefix(std::min(one.size() + 1, list.size()));
    while (one.starts_with(' ') || one.starts_with('\t')) one.remove_prefix(1);
    while (one.ends_with(' ') || one.ends_with('\t')) one.remove_suffix(1);
    if (std::equal(one.begin(), one.end(), token.begin(), token.end(),
                   [&](char a, char b) { return lower(a) == lower(b); })) {
      return true;
    }
  }
  return false;
}

std::optional<dialects::Problem> problem_with_handshake(const HandshakeHeaders& headers) {
  if (!has_token(headers.upgrade, "websocket") || !has_token(headers.connection, "upgrade")) {
    return dialects::Problem{.status = 426,
                             .detail =
                                 "this is a WebSocket; connect with Upgrade: websocket (a "
                                 "chat's events are also at /chat/{chat_id}/events)"};
  }
  if (headers.version != "13") {
    return dialects::Problem{.status = 426, .detail = "Sec-WebSocket-Version must be 13"};
  }
  if (!valid_key(headers.key)) {
    return dialects::Problem{.status = 400,
                             .detail = "Sec-WebSocket-Key must be 16 bytes in base64"};
  }
  return std::nullopt;
}

std::string accept_value(std::string_view key) {
  constexpr std::string_view kGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  beast::sha1_context context;
  beast::init(context);
  beast::update(context, key.data(), key.size());
  beast::update(context, kGuid.data(), kGuid.size());
  char digest[beast::sha1_context::digest_size];
  beast::finish(context, digest);
  std::string out(beast::base64::encoded_size(sizeof digest), '\0');
  out.resize(beast::base64::encode(out.data(), digest, sizeof digest));
  return out;
}

}  // namespace parlance::net
