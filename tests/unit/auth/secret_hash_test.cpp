#include "auth/secret_hash.h"

#include <regex>
#include <set>
#include <string>

#include <catch2/catch.hpp>

#include "schemas/ids.h"

namespace parlance::auth {
namespace {

using namespace std::string_literals;

// Of "password", by the command line of the Argon2 authors: 64 MiB, 3 passes, 4 lanes.
constexpr std::string_view kForeignHash =
    "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHRzb21lc2FsdA$gduXp+Z6iReEolmbyHn5V8s1EtJzmEvZfYoY/Fn/"
    "AeI";

std::string must_hash(const std::string& secret) {
  auto hash = hash_secret(secret);
  REQUIRE(hash.has_value());
  return *hash;
}

TEST_CASE("a hash verifies the secret it was made of and no other") {
  const std::string secret = GENERATE("a"s, "with blanks and ümlauts"s, "كلمة السر"s, "a\0b"s,
                                      std::string(kSecretBytesMax, 'x'));
  const std::string hash = must_hash(secret);
  CHECK(verify_secret(hash, secret));
  CHECK_FALSE(verify_secret(hash, secret.substr(0, secret.size() - 1)));
  CHECK_FALSE(verify_secret(hash, secret + "x"));
  CHECK_FALSE(verify_secret(hash, ""));
}

TEST_CASE("a hash is Argon2id at OWASP's minimum and does not hold the secret") {
  const std::string hash = must_hash("secret");
  CHECK(hash.find("$argon2id$v=19$m=19456,t=2,p=1$") == 0);
  CHECK(hash.find("secret") == std::string::npos);
  CHECK(hash.size() <= kSecretHashBytesMax);
}

TEST_CASE("two hashes of one secret differ") {
  CHECK(must_hash("secret") != must_hash("secret"));
}

TEST_CASE("a secret that is empty or too long is refused") {
  const std::string secret = GENERATE(""s, std::string(kSecretBytesMax + 1, 'x'));
  const auto hash = hash_secret(secret);
  REQUIRE_FALSE(hash.has_value());
  CHECK(hash.error().code == Errc::invalid_argument);
}

TEST_CASE("what is no hash verifies nothing") {
  const std::string good = must_hash("secret");
  const std::string hash =
      GENERATE_COPY(""s, "secret"s, "$argon2id$"s, "$argon2id$v=19$m=19456,t=2,p=1$"s,
                    "$argon2i$"s + good.substr(10), good + '\0', good + "!", std::string(200, 'x'),
                    "$argon2id$v=19$m=4194304,t=2,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA"s,
                    "$argon2id$v=19$m=19456,t=4000000,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA"s);
  CAPTURE(hash);
  CHECK_FALSE(is_secret_hash(hash));
  CHECK_FALSE(verify_secret(hash, "secret"));
}

TEST_CASE("a hash that is cut or changed does not verify its secret") {
  const std::string good = must_hash("secret");
  CHECK_FALSE(verify_secret(good.substr(0, good.size() - 1), "secret"));
  CHECK_FALSE(verify_secret(good + "A", "secret"));
  std::string other = good;
  other[other.size() - 5] = other[other.size() - 5] == 'A' ? 'B' : 'A';
  CHECK_FALSE(verify_secret(other, "secret"));
}

TEST_CASE("a hash that others made is a hash") {
  CHECK(is_secret_hash(kForeignHash));
  CHECK(verify_secret(kForeignHash, "password"));
  CHECK_FALSE(verify_secret(kForeignHash, "Password"));
}

TEST_CASE("the hash for unknown clients costs what a real one does and fits no secret") {
  const std::string hash = must_hash("secret");
  const auto cost = [](std::string_view text) { return text.substr(0, text.find("p=1$")); };
  CHECK(is_secret_hash(kUnknownClientHash));
  CHECK(kUnknownClientHash.size() == hash.size());
  CHECK(cost(kUnknownClientHash) == cost(hash));
  CHECK_FALSE(verify_secret(kUnknownClientHash, "secret"));
}

TEST_CASE("new ids and secrets have 128 and 256 bits in characters that are safe anywhere") {
  for (int i = 0; i < 100; ++i) {
    const std::string id = new_client_id();
    CHECK(std::regex_match(id, std::regex("[A-Za-z0-9_-]{22}")));
    CHECK(valid_session_id(id));
    CHECK(std::regex_match(new_secret(), std::regex("[A-Za-z0-9_-]{43}")));
  }
}

TEST_CASE("new ids and secrets do not repeat") {
  std::set<std::string> seen;
  for (int i = 0; i < 1'000; ++i) {
    CHECK(seen.insert(new_client_id()).second);
    CHECK(seen.insert(new_secret()).second);
  }
}

}  // namespace
}  // namespace parlance::auth
