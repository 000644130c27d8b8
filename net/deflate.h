// permessage-deflate (RFC 7692) without context takeover on either side: each message stands alone,
// so a compressed frame is shared by connections like any other, and an idle one holds no window.
// Pure; the streams are per thread and made at first use.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "net/websocket_frame.h"

namespace parlance::net {

/// `message` compressed, without the tail that RFC 7692 leaves out.
std::string deflate_message(std::string_view message);

/// Inflates; never makes more than `bytes_max` bytes, whatever the input says.
class DeflateInflater final : public MessageInflater {
 public:
  std::optional<std::string> inflate(std::string_view compressed, std::size_t bytes_max,
                                     bool& too_big) override;
};

/// The answer's Sec-WebSocket-Extensions for what a client offered; empty when nothing fits.
std::string agree_to_deflate(std::string_view offers);

}  // namespace parlance::net
