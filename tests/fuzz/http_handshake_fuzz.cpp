// Header values that decide about a WebSocket: lists of tokens, keys, extensions, credentials,
// origins. Lines of the input are the values.

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "net/authentication.h"
#include "net/deflate.h"
#include "net/websocket_handshake.h"

using namespace parlance::net;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  std::array<std::string_view, 8> lines;
  for (std::string_view& line : lines) {
    line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
  }
  static const Authentication authentication = [] {
    Options options;
    options.api_keys = {"k1", "another-key"};
    options.allowed_origins = {"https://chat.example.org"};
    return Authentication(options);
  }();

  const auto problem = problem_with_handshake(
      {.upgrade = lines[0], .connection = lines[1], .key = lines[2], .version = lines[3]});
  if (!problem) CHECK(accept_value(lines[2]).size() == 28);
  agree_to_deflate(lines[4]);
  const bool admitted = authentication.admits(lines[5], lines[6]);
  if (admitted) {
    const bool has_key = lines[5].find("k1") != std::string_view::npos ||
                         lines[5].find("another-key") != std::string_view::npos ||
                         !bearer_protocol(lines[6]).empty();
    CHECK(has_key);
  }
  authentication.admits_origin(lines[7], lines[6]);
  static const Authentication open{Options{}};
  open.admits_host(lines[7]);
  return 0;
}
