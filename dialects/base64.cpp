#include "dialects/base64.h"

#include <array>
#include <cstdint>

namespace parlance::dialects {
namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::uint8_t kNone = 0xff;

constexpr std::array<std::uint8_t, 256> make_values() {
  std::array<std::uint8_t, 256> values{};
  for (std::uint8_t& value : values) value = kNone;
  for (std::size_t i = 0; i < kAlphabet.size(); ++i) {
    values[static_cast<unsigned char>(kAlphabet[i])] = static_cast<std::uint8_t>(i);
  }
  return values;
}

constexpr std::array<std::uint8_t, 256> kValues = make_values();

std::uint8_t value_of(char c) {
  return kValues[static_cast<unsigned char>(c)];
}

}  // namespace

std::optional<std::string> decode_base64(std::string_view text) {
  if (text.ends_with('=')) {
    if (text.size() % 4 != 0) return std::nullopt;
    text.remove_suffix(text.ends_with("==") ? 2 : 1);
  }
  const std::size_t left = text.size() % 4;
  if (left == 1) return std::nullopt;

  std::string out(text.size() / 4 * 3 + (left == 0 ? 0 : left - 1), '\0');
  char* to = out.data();
  const std::string_view whole = text.substr(0, text.size() - left);
  for (std::size_t i = 0; i < whole.size(); i += 4) {
    const std::uint32_t a = value_of(whole[i]);
    const std::uint32_t b = value_of(whole[i + 1]);
    const std::uint32_t c = value_of(whole[i + 2]);
    const std::uint32_t d = value_of(whole[i + 3]);
    if (((a | b | c | d) & 0xc0U) != 0) return std::nullopt;
    const std::uint32_t bits = a << 18 | b << 12 | c << 6 | d;
    *to++ = static_cast<char>(bits >> 16);
    *to++ = static_cast<char>(bits >> 8 & 0xff);
    *to++ = static_cast<char>(bits & 0xff);
  }
  std::uint32_t bits = 0;
  for (const char c : text.substr(whole.size())) {
    const std::uint32_t value = value_of(c);
    if (value == kNone) return std::nullopt;
    bits = bits << 6 | value;
  }
  if (left == 2) {
    if ((bits & 0xf) != 0) return std::nullopt;
    *to = static_cast<char>(bits >> 4);
  } else if (left == 3) {
    if ((bits & 0x3) != 0) return std::nullopt;
    *to++ = static_cast<char>(bits >> 10);
    *to = static_cast<char>(bits >> 2 & 0xff);
  }
  return out;
}

}  // namespace parlance::dialects
