#include "auth/access_token.h"

#include <string>
#include <string_view>

#include <catch2/catch.hpp>
#include <sodium.h>

#include "base/json.h"

namespace parlance::auth {
namespace {

using namespace std::string_literals;

constexpr std::string_view kKey = "0123456789abcdef0123456789abcdef";
constexpr std::int64_t kSeconds = 1'700'000'000;
constexpr WallTime kNow{kSeconds * 1'000 + 500};
constexpr std::string_view kHeader = R"({"alg":"HS256","typ":"JWT"})";

AccessTokens tokens(const std::string& algorithm = "HS256", std::string_view key = kKey) {
  return AccessTokens({std::string(key), algorithm, std::chrono::minutes(30)});
}

std::string base64(std::string_view bytes, int variant = sodium_base64_VARIANT_URLSAFE_NO_PADDING) {
  std::string out(sodium_base64_encoded_len(bytes.size(), variant), '\0');
  sodium_bin2base64(out.data(), out.size(), reinterpret_cast<const unsigned char*>(bytes.data()),
                    bytes.size(), variant);
  out.pop_back();
  return out;
}

/// `signed_part` with its HS256 signature.
std::string sign(const std::string& signed_part, std::string_view key = kKey) {
  crypto_auth_hmacsha256_state state;
  crypto_auth_hmacsha256_init(&state, reinterpret_cast<const unsigned char*>(key.data()),
                              key.size());
  crypto_auth_hmacsha256_update(&state, reinterpret_cast<const unsigned char*>(signed_part.data()),
                                signed_part.size());
  std::string mac(crypto_auth_hmacsha256_BYTES, '\0');
  crypto_auth_hmacsha256_final(&state, reinterpret_cast<unsigned char*>(mac.data()));
  return signed_part + "." + base64(mac);
}

std::string token(std::string_view header, std::string_view payload) {
  return sign(base64(header) + "." + base64(payload));
}

/// A good payload's members, with `more` behind them.
std::string payload(const std::string& more = "") {
  return R"({"sub":"me","scope":"temporary","iat":1700000000,"exp":1700000060)" + more + "}";
}

/// Why `text` is refused; empty when it is not.
std::string refusal(const std::string& text, const AccessTokens& by = tokens()) {
  const auto claims = by.verify(text, kNow);
  if (claims) return {};
  CHECK(claims.error().code == Errc::unauthenticated);
  return claims.error().detail;
}

constexpr std::string_view kMalformed = "the access token is malformed";
constexpr std::string_view kAlgorithm = "the access token is signed by another algorithm";
constexpr std::string_view kSignature = "the access token's signature is wrong";
constexpr std::string_view kClaims = "the access token lacks a claim or has one of a wrong type";
constexpr std::string_view kNotYet = "the access token is not valid yet";

// ---- What is issued ----

TEST_CASE("a token that was issued says who and in which scope") {
  const std::string algorithm = GENERATE("HS256", "HS384", "HS512");
  const auto claims =
      tokens(algorithm).verify(tokens(algorithm).issue("me", "persistent", kNow), kNow);
  REQUIRE(claims.has_value());
  CHECK(claims->client_id == "me");
  CHECK(claims->scope == "persistent");
  CHECK(claims->expires == WallTime{(kSeconds + 1'800) * 1'000});
}

TEST_CASE("a token is a JSON web token with the promised claims") {
  const std::string text = tokens().issue("me", "temporary", kNow);
  const std::size_t first = text.find('.');
  const std::string part = text.substr(first + 1, text.rfind('.') - first - 1);
  std::string json(part.size(), '\0');
  std::size_t size = 0;
  REQUIRE(sodium_base642bin(reinterpret_cast<unsigned char*>(json.data()), json.size(), part.data(),
                            part.size(), nullptr, &size, nullptr,
                            sodium_base64_VARIANT_URLSAFE_NO_PADDING) == 0);
  json.resize(size);
  CHECK(json == R"({"exp":1700001800,"iat":1700000000,"scope":"temporary","sub":"me"})");
}

TEST_CASE("a token made by hand with the right key is good") {
  CHECK(refusal(token(kHeader, payload())).empty());
  CHECK(refusal(token(R"({"alg":"HS256"})", payload())).empty());
  CHECK(refusal(token(kHeader, payload(R"(,"jti":"x","aud":["a"])"))).empty());
}

TEST_CASE("a client id of any script survives") {
  const std::string id = "عميل \"one\"\\";
  const auto claims = tokens().verify(tokens().issue(id, "temporary", kNow), kNow);
  REQUIRE(claims.has_value());
  CHECK(claims->client_id == id);
}

// ---- Algorithms ----

TEST_CASE("a token without a signature is refused, however it says so") {
  const std::string name = GENERATE("none", "None", "NONE", "nOnE", "");
  const std::string part = base64(R"({"alg":")" + name + "\"}") + "." + base64(payload());
  CHECK(refusal(part + ".") == kAlgorithm);
  CHECK(refusal(part) == kMalformed);
  CHECK(refusal(sign(part)) == kAlgorithm);
}

TEST_CASE("a token of an algorithm that is not the configured one is refused") {
  for (const std::string name : {"HS256", "HS384", "HS512"}) {
    for (const std::string other : {"HS256", "HS384", "HS512"}) {
      CAPTURE(name, other);
      const std::string text = tokens(other).issue("me", "temporary", kNow);
      CHECK(refusal(text, tokens(name)) == (name == other ? "" : std::string(kAlgorithm)));
    }
  }
}

TEST_CASE("a header that names another algorithm over a good signature is refused") {
  const std::string name = GENERATE("HS384", "HS512", "RS256", "ES256", "PS256", "hs256", "Hs256",
                                    "HS256 ", "HS256\\u0000", "HMAC", "EdDSA");
  CHECK(refusal(token(R"({"alg":")" + name + "\"}", payload())) == kAlgorithm);
}

TEST_CASE("a header without an algorithm, or with one of a wrong type, is refused") {
  const std::string header =
      GENERATE("{}", R"({"typ":"JWT"})", R"({"alg":null})", R"({"alg":256})",
               R"({"alg":["HS256"]})", R"({"ALG":"HS256"})", R"({"alg":{"HS256":1}})");
  CHECK(refusal(token(header, payload())) == kAlgorithm);
}

TEST_CASE("a header with an extension that must be understood is refused") {
  CHECK(refusal(token(R"({"alg":"HS256","crit":["exp"]})", payload())) == kMalformed);
}

// ---- Tampering ----

TEST_CASE("a token of another key is refused") {
  const std::string text =
      tokens("HS256", "another key of 32 bytes or longer").issue("a", "b", kNow);
  CHECK(refusal(text) == kSignature);
}

TEST_CASE("a key with more bytes behind it is another key") {
  CHECK(refusal(tokens("HS256", std::string(kKey) + "x").issue("a", "b", kNow)) == kSignature);
  CHECK(refusal(tokens("HS256", std::string(kKey) + '\0' + "x").issue("a", "b", kNow)) ==
        kSignature);
}

TEST_CASE("a token with any one character changed is refused") {
  const std::string good = token(kHeader, payload());
  REQUIRE(refusal(good).empty());
  for (std::size_t i = 0; i < good.size(); ++i) {
    for (const char other : {'A', 'B', '-', '_', '.', '=', '+', '\0', '\xff'}) {
      if (good[i] == other) continue;
      std::string bad = good;
      bad[i] = other;
      CAPTURE(i, other);
      REQUIRE_FALSE(refusal(bad).empty());
    }
  }
}

TEST_CASE("a token that is cut or has more behind it is refused") {
  const std::string good = token(kHeader, payload());
  for (std::size_t size = 0; size < good.size(); ++size) {
    REQUIRE_FALSE(refusal(good.substr(0, size)).empty());
  }
  const std::string tail = GENERATE("A"s, "="s, "=="s, "."s, ".A"s, " "s, "\n"s, "\0A"s, "AAAA"s);
  CHECK_FALSE(refusal(good + tail).empty());
}

TEST_CASE("the parts of two good tokens do not make a third") {
  const std::string a = token(kHeader, payload());
  const std::string b = token(kHeader, payload(R"(,"x":1)"));
  CHECK(refusal(a.substr(0, a.rfind('.')) + b.substr(b.rfind('.'))) == kSignature);
}

TEST_CASE("an empty signature is refused") {
  CHECK(refusal(base64(kHeader) + "." + base64(payload()) + ".") == kMalformed);
}

// ---- Form ----

TEST_CASE("what is no token is refused") {
  const std::string text =
      GENERATE(""s, "."s, ".."s, "..."s, "x"s, "a.b"s, "a.b.c"s, "Bearer x"s, "\0"s, "\0.\0.\0"s,
               "\xff.\xff.\xff"s, "ثلاثة.أجزاء.هنا"s, "{}.{}.{}"s);
  CAPTURE(text);
  CHECK(refusal(text) == kMalformed);
}

TEST_CASE("base64 that is not the one way to write the bytes is refused, though signed") {
  const std::string header = base64(kHeader);
  const std::string body = payload(R"(,"x":"???>>>")");
  REQUIRE(refusal(sign(header + "." + base64(body))).empty());
  // The other alphabet, padding, blanks, and bits that belong to no byte.
  const std::string other = base64(body, sodium_base64_VARIANT_ORIGINAL_NO_PADDING);
  REQUIRE(other != base64(body));
  CHECK(refusal(sign(header + "." + other)) == kMalformed);
  CHECK(refusal(sign(header + "." + base64(payload(), sodium_base64_VARIANT_URLSAFE) + "=")) ==
        kMalformed);
  CHECK(refusal(sign(header + ".\n" + base64(body))) == kMalformed);
  CHECK(refusal(sign(header + "." + base64(body) + " ")) == kMalformed);
  REQUIRE(base64("{} ") == "e30g");
  REQUIRE(base64("{}") == "e30");
  CHECK(refusal(sign(header + ".e30")) == kClaims);
  CHECK(refusal(sign(header + ".e31")) == kMalformed);
}

TEST_CASE("a header or payload that is no JSON object is refused, though signed") {
  const std::string part = GENERATE("[]"s, "null"s, "1"s, "\"a\""s, "{"s, "{}x"s, "{}\0"s,
                                    "{\"a\":\"\xff\"}"s, "{'a':1}"s, " "s);
  CAPTURE(part);
  CHECK(refusal(token(part, payload())) == kMalformed);
  CHECK(refusal(token(kHeader, part)) == kMalformed);
}

TEST_CASE("JSON that is nested deeply is refused, though signed") {
  const std::string deep = R"({"a":)" + std::string(1'000, '[') + std::string(1'000, ']') + "}";
  CHECK(refusal(token(kHeader, deep)) == kMalformed);
}

TEST_CASE("a member given twice is refused, though signed") {
  CHECK(refusal(token(kHeader, payload(R"(,"sub":"other")"))) == kMalformed);
  CHECK(refusal(token(kHeader, payload(R"(,"s\u0075b":"other")"))) == kMalformed);
  CHECK(refusal(token(kHeader, payload(R"(,"x":1,"x":1)"))) == kMalformed);
  CHECK(refusal(token(R"({"alg":"none","alg":"HS256"})", payload())) == kMalformed);
  CHECK(refusal(token(R"({"alg":"HS256","alg":"none"})", payload())) == kMalformed);
}

TEST_CASE("a token longer than the limit is refused, though signed") {
  const auto padded = [](std::size_t size) {
    return token(kHeader, payload(R"(,"x":")" + std::string(size, 'x') + "\""));
  };
  const std::string most = padded(2'938);
  REQUIRE(most.size() == AccessTokens::kTokenBytesMax);
  CHECK(refusal(most).empty());
  CHECK(refusal(padded(2'939)) == "the access token is longer than 4096 bytes");
  CHECK(refusal(std::string(std::size_t{1} << 24, '.')) ==
        "the access token is longer than 4096 bytes");
}

// ---- Claims ----

TEST_CASE("a token without a claim is refused") {
  const std::string text = GENERATE(R"({"scope":"t","iat":1700000000,"exp":1700000060})",
                                    R"({"sub":"me","iat":1700000000,"exp":1700000060})",
                                    R"({"sub":"me","scope":"t","exp":1700000060})",
                                    R"({"sub":"me","scope":"t","iat":1700000000})", "{}");
  CHECK(refusal(token(kHeader, text)) == kClaims);
}

TEST_CASE("a token with a claim of a wrong type is refused") {
  const std::string text =
      GENERATE(R"({"sub":1,"scope":"t","iat":1700000000,"exp":1700000060})",
               R"({"sub":"","scope":"t","iat":1700000000,"exp":1700000060})",
               R"({"sub":null,"scope":"t","iat":1700000000,"exp":1700000060})",
               R"({"sub":"me","scope":["t"],"iat":1700000000,"exp":1700000060})",
               R"({"sub":"me","scope":"t","iat":"1700000000","exp":1700000060})",
               R"({"sub":"me","scope":"t","iat":1700000000,"exp":"1700000060"})",
               R"({"sub":"me","scope":"t","iat":1700000000,"exp":null})",
               R"({"sub":"me","scope":"t","iat":1700000000,"exp":true})",
               R"({"sub":"me","scope":"t","iat":1700000000,"exp":1e300})",
               R"({"sub":"me","scope":"t","iat":1700000000,"exp":9223372036854775807})",
               R"({"sub":"me","scope":"t","iat":-1,"exp":1700000060})",
               R"({"sub":"me","scope":"t","iat":1700000000,"exp":1700000060,"nbf":"now"})",
               R"({"sub":"me","scope":"t","iat":1700000000,"exp":1700000060,"nbf":null})");
  CAPTURE(text);
  CHECK(refusal(token(kHeader, text)) == kClaims);
}

TEST_CASE("a token with a number that no integer holds is refused") {
  const std::string number = GENERATE("18446744073709551615", "99999999999999999999", "-1e400");
  CHECK_FALSE(
      refusal(token(kHeader, R"({"sub":"me","scope":"t","iat":1700000000,"exp":)" + number + "}"))
          .empty());
}

TEST_CASE("a token is good until the second it expires in") {
  const AccessTokens by = tokens();
  const std::string text = by.issue("me", "temporary", kNow);
  CHECK(by.verify(text, WallTime{(kSeconds + 1'800) * 1'000 - 1}).has_value());
  const auto late = by.verify(text, WallTime{(kSeconds + 1'800) * 1'000});
  REQUIRE_FALSE(late.has_value());
  CHECK(late.error().detail == "the access token has expired");
}

TEST_CASE("a token from more than a minute ahead is not valid yet") {
  const auto issued = [](std::int64_t at) {
    return token(kHeader, R"({"sub":"me","scope":"t","iat":)" + std::to_string(at) +
                              R"(,"exp":1800000000})");
  };
  CHECK(refusal(issued(kSeconds + 60)).empty());
  CHECK(refusal(issued(kSeconds + 61)) == kNotYet);
  CHECK(refusal(token(kHeader, payload(R"(,"nbf":1700000060)"))).empty());
  CHECK(refusal(token(kHeader, payload(R"(,"nbf":1700000061)"))) == kNotYet);
}

TEST_CASE("no refusal shows the token") {
  const std::string good = token(kHeader, payload());
  for (const std::string& bad :
       {good + "A", good.substr(1), token(kHeader, R"({"sub":"me"})"), "secretsecret"s}) {
    const std::string why = refusal(bad);
    CHECK(why.find(bad) == std::string::npos);
    CHECK(why.find("secret") == std::string::npos);
    CHECK(why.size() < 80);
  }
}

}  // namespace
}  // namespace parlance::auth
