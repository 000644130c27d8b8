// An access token from outside, as it is and signed with the right key: refused or read, and only
// what was issued in its one form is good.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <sodium.h>

#include "auth/access_token.h"
#include "base/check.h"
#include "base/json.h"

using namespace parlance;

namespace {

constexpr std::string_view kKey = "0123456789abcdef0123456789abcdef";

std::string with_signature(std::string_view signed_part) {
  crypto_auth_hmacsha256_state state;
  crypto_auth_hmacsha256_init(&state, reinterpret_cast<const unsigned char*>(kKey.data()),
                              kKey.size());
  crypto_auth_hmacsha256_update(&state, reinterpret_cast<const unsigned char*>(signed_part.data()),
                                signed_part.size());
  unsigned char mac[crypto_auth_hmacsha256_BYTES];
  crypto_auth_hmacsha256_final(&state, mac);
  constexpr int kVariant = sodium_base64_VARIANT_URLSAFE_NO_PADDING;
  char text[sodium_base64_ENCODED_LEN(sizeof mac, kVariant)];
  sodium_bin2base64(text, sizeof text, mac, sizeof mac, kVariant);
  return std::string(signed_part) + "." + text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auth::AccessTokens tokens({std::string(kKey), "HS256", std::chrono::minutes(30)});
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const WallTime now{1'700'000'000'000};
  for (const std::string& token : {std::string(text), with_signature(text)}) {
    const auto claims = tokens.verify(token, now);
    if (!claims) {
      CHECK(claims.error().code == Errc::unauthenticated);
      continue;
    }
    CHECK(token.size() <= auth::AccessTokens::kTokenBytesMax);
    CHECK(claims->expires.ms > now.ms);
    CHECK(!claims->client_id.empty());
    CHECK(json::valid_utf8(claims->client_id));
  }
  return 0;
}
