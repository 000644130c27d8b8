#include "dialects/base64.h"

#include <catch2/catch.hpp>

using parlance::dialects::decode_base64;

TEST_CASE("base64 of every length is decoded") {
  CHECK(decode_base64("") == "");
  CHECK(decode_base64("Zg==") == "f");
  CHECK(decode_base64("Zm8=") == "fo");
  CHECK(decode_base64("Zm9v") == "foo");
  CHECK(decode_base64("Zm9vYg==") == "foob");
  CHECK(decode_base64("+/+/") == "\xfb\xff\xbf");
}

TEST_CASE("base64 may lack its padding") {
  CHECK(decode_base64("Zg") == "f");
  CHECK(decode_base64("Zm8") == "fo");
}

TEST_CASE("base64 with wrong padding is refused") {
  const char* const text =
      GENERATE("=", "==", "Zg=", "Zg===", "Zm8==", "Zm9v=", "Zm9v====", "Z=g=", "Zm=v", "Z===");
  CAPTURE(text);
  CHECK_FALSE(decode_base64(text));
}

TEST_CASE("base64 with other characters is refused") {
  const char* const text =
      GENERATE("Zm9\n", "Zm9v\n", " Zm9v", "Zm-_", "Zm9v*", "data:,Zm9v", "\xd8\xa7\xd8\xa8", "Z");
  CAPTURE(text);
  CHECK_FALSE(decode_base64(text));
}

TEST_CASE("base64 with bits left over is refused") {
  CHECK_FALSE(decode_base64("Zh=="));
  CHECK_FALSE(decode_base64("Zm9="));
  CHECK_FALSE(decode_base64("Zh"));
}
