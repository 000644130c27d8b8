// The form of POST /api/v1/message/voice: multipart/form-data (RFC 7578) that lies in a file, since
// a recording is too long for memory. Blocks on the disk; any thread that may. A body that is not
// valid is refused as a value; nothing throws.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "dialects/problem.h"
#include "schemas/ids.h"

namespace parlance::dialects::platform {

inline constexpr std::size_t kVoicePartsMax = 8;
/// Of all header lines of one part.
inline constexpr std::size_t kVoicePartHeaderBytesMax = 8 << 10;

struct VoiceForm {
  SessionId session;
  std::string language;  ///< Empty when the client gave none.
  std::uint64_t file_bytes = 0;
};

/// Reads the first `bytes` of `body_fd`, and writes the part `file` to the beginning of `file_fd`,
/// which is empty; in small pieces, and without moving the offset of either. What is in `file_fd`
/// after a problem is of no use.
/// `content_type` is that of the request, which names the boundary.
/// Problems: 400 for what is no whole form, 422 with all that is
/// wrong with the parts, 503 where the disk refuses.
std::variant<VoiceForm, Problem> parse_voice_form(int body_fd, std::uint64_t bytes,
                                                  std::string_view content_type, int file_fd);

}  // namespace parlance::dialects::platform
