#include "auth/access_token.h"

#include <array>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include <jwt.h>
#include <rapidjson/document.h>
#include <sodium.h>

#include "base/check.h"
#include "base/json.h"

namespace parlance::auth {
namespace {

using Jwt = std::unique_ptr<jwt_t, decltype(&jwt_free)>;

constexpr std::size_t kIssuedTextBytesMax = 512;
/// Later times would overflow when counted in milliseconds.
constexpr std::int64_t kSecondsMax = std::int64_t{1} << 50;

Error refused(const char* why) {
  return {Errc::unauthenticated, why};
}

jwt_alg_t algorithm_of(std::string_view name) {
  if (name == "HS256") return JWT_ALG_HS256;
  if (name == "HS384") return JWT_ALG_HS384;
  CHECK(name == "HS512");
  return JWT_ALG_HS512;
}

std::int64_t seconds_of(WallTime time) {
  return time.ms / 1'000;
}

/// The parts of header.payload.signature, or nothing.
std::optional<std::array<std::string_view, 3>> split(std::string_view token) {
  const std::size_t first = token.find('.');
  if (first == std::string_view::npos) return std::nullopt;
  const std::size_t second = token.find('.', first + 1);
  if (second == std::string_view::npos) return std::nullopt;
  if (token.find('.', second + 1) != std::string_view::npos) return std::nullopt;
  return std::array{token.substr(0, first), token.substr(first + 1, second - first - 1),
                    token.substr(second + 1)};
}

/// The bytes of unpadded base64url; nothing unless it is the one way to write them.
std::optional<std::string> decode_base64(std::string_view text) {
  if (text.empty()) return std::nullopt;
  std::string out(text.size(), '\0');
  std::size_t size = 0;
  if (sodium_base642bin(reinterpret_cast<unsigned char*>(out.data()), out.size(), text.data(),
                        text.size(), nullptr, &size, nullptr,
                        sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0) {
    return std::nullopt;
  }
  out.resize(size);
  return out;
}

/// The JSON object that `part` encodes; nothing unless its members all have different names.
std::optional<rapidjson::Document> decode_object(std::string_view part) {
  const auto text = decode_base64(part);
  if (!text) return std::nullopt;
  auto document = json::parse(*text);
  if (!document || !document->IsObject()) return std::nullopt;
  std::set<std::string_view> names;
  for (const auto& member : document->GetObject()) {
    if (!names.insert(json::view(member.name)).second) return std::nullopt;
  }
  return std::move(*document);
}

std::optional<std::string> text_claim(const rapidjson::Value& payload, const char* name) {
  const rapidjson::Value* value = json::find_string(payload, name);
  if (value == nullptr || value->GetStringLength() == 0) return std::nullopt;
  return std::string(json::view(*value));
}

/// Seconds since 1970.
std::optional<std::int64_t> time_claim(const rapidjson::Value& payload, const char* name) {
  const auto found = payload.FindMember(name);
  if (found == payload.MemberEnd() || !found->value.IsInt64()) return std::nullopt;
  const std::int64_t seconds = found->value.GetInt64();
  if (seconds < 0 || seconds > kSecondsMax) return std::nullopt;
  return seconds;
}

Result<Claims> read_claims(const rapidjson::Value& payload, WallTime now) {
  auto client_id = text_claim(payload, "sub");
  auto scope = text_claim(payload, "scope");
  const auto issued = time_claim(payload, "iat");
  const auto expires = time_claim(payload, "exp");
  const bool has_not_before = payload.HasMember("nbf");
  const auto not_before = has_not_before ? time_claim(payload, "nbf") : issued;
  if (!client_id || !scope || !issued || !expires || !not_before) {
    return refused("the access token lacks a claim or has one of a wrong type");
  }
  const std::int64_t seconds = seconds_of(now);
  if (*expires <= seconds) return refused("the access token has expired");
  const std::int64_t latest = seconds + AccessTokens::kClockSkewMax.count();
  if (*issued > latest || *not_before > latest) {
    return refused("the access token is not valid yet");
  }
  return Claims{std::move(*client_id), std::move(*scope), WallTime{*expires * 1'000}};
}

}  // namespace

AccessTokens::AccessTokens(Options options) : options_(std::move(options)) {
  CHECK(is_algorithm(options_.algorithm));
  CHECK(options_.secret_key.size() >= kSecretKeyBytesMin);
  CHECK(options_.secret_key.size() <= kSecretKeyBytesMax);
  CHECK(options_.expires.count() > 0);
}

std::string AccessTokens::issue(std::string_view client_id, std::string_view scope,
                                WallTime now) const {
  for (const std::string_view text : {client_id, scope}) {
    CHECK(!text.empty());
    CHECK(text.size() <= kIssuedTextBytesMax);
    CHECK(text.find('\0') == std::string_view::npos);
    CHECK(json::valid_utf8(text));
  }
  jwt_t* made = nullptr;
  CHECK(jwt_new(&made) == 0);
  const Jwt token(made, &jwt_free);
  CHECK(jwt_set_alg(made, algorithm_of(options_.algorithm),
                    reinterpret_cast<const unsigned char*>(options_.secret_key.data()),
                    static_cast<int>(options_.secret_key.size())) == 0);
  const std::int64_t seconds = seconds_of(now);
  const std::int64_t lifetime = std::chrono::seconds(options_.expires).count();
  CHECK(jwt_add_grant(made, "sub", std::string(client_id).c_str()) == 0);
  CHECK(jwt_add_grant(made, "scope", std::string(scope).c_str()) == 0);
  CHECK(jwt_add_grant_int(made, "iat", seconds) == 0);
  CHECK(jwt_add_grant_int(made, "exp", seconds + lifetime) == 0);
  const std::unique_ptr<char, decltype(&std::free)> text(jwt_encode_str(made), &std::free);
  CHECK(text != nullptr);
  return text.get();
}

Status AccessTokens::check_signature(const std::string& token) const {
  jwt_t* made = nullptr;
  const int status = jwt_decode(&made, token.c_str(),
                                reinterpret_cast<const unsigned char*>(options_.secret_key.data()),
                                static_cast<int>(options_.secret_key.size()));
  if (status != 0) return refused("the access token's signature is wrong");
  const Jwt decoded(made, &jwt_free);
  if (jwt_get_alg(made) != algorithm_of(options_.algorithm)) {
    return refused("the access token is signed by another algorithm");
  }
  return {};
}

Result<Claims> AccessTokens::verify(std::string_view token, WallTime now) const {
  if (token.size() > kTokenBytesMax) return refused("the access token is longer than 4096 bytes");
  const auto parts = split(token);
  if (!parts) return refused("the access token is malformed");
  const auto header = decode_object((*parts)[0]);
  const auto payload = decode_object((*parts)[1]);
  if (!header || !payload) return refused("the access token is malformed");
  const rapidjson::Value* algorithm = json::find_string(*header, "alg");
  if (algorithm == nullptr || json::view(*algorithm) != options_.algorithm) {
    return refused("the access token is signed by another algorithm");
  }
  // RFC 7515, 4.1.11: an extension that is critical and not understood makes it invalid.
  if (header->HasMember("crit") || !decode_base64((*parts)[2])) {
    return refused("the access token is malformed");
  }
  if (auto good = check_signature(std::string(token)); !good) return good.error();
  return read_claims(*payload, now);
}

}  // namespace parlance::auth
