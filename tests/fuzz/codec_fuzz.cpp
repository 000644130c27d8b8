// The event codec: what decodes has one encoding, and nothing else does anything but fail.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "schemas/codec.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace parlance;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto decoded = decode(bytes);
  if (!decoded) {
    CHECK(decoded.error().code == Errc::corrupted);
    return 0;
  }
  // Numbers with needless zero bytes decode too, so the first encoding may differ; never the
  // second.
  const std::string encoded = encode(decoded->event, decoded->time);
  CHECK(encoded.size() <= bytes.size());
  const auto again = decode(encoded);
  CHECK(again.has_value());
  CHECK(encode(again->event, again->time) == encoded);
  CHECK(message_of(again->event) == message_of(decoded->event));
  return 0;
}
