// The form of a voice message. The first line is its Content-Type, and the rest its body.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/json.h"
#include "base/uuid.h"
#include "dialects/voice_form.h"

using namespace parlance;
namespace platform = dialects::platform;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::string_view type = text.substr(0, text.find('\n'));
  const std::string_view body = text.substr(std::min(type.size() + 1, text.size()));
  const int in = ::memfd_create("body", MFD_CLOEXEC);
  const int out = ::memfd_create("file", MFD_CLOEXEC);
  CHECK(in >= 0);
  CHECK(out >= 0);
  CHECK(::pwrite(in, body.data(), body.size(), 0) == static_cast<ssize_t>(body.size()));
  const auto parsed = platform::parse_voice_form(in, body.size(), type, out);
  if (const auto* problem = std::get_if<dialects::Problem>(&parsed)) {
    CHECK(problem->status == 400 || problem->status == 404 || problem->status == 422);
    CHECK(json::parse(dialects::to_json(*problem, "r")).has_value());
  } else {
    const auto& form = std::get<platform::VoiceForm>(parsed);
    struct stat kept {};
    CHECK(::fstat(out, &kept) == 0);
    CHECK(form.file_bytes == static_cast<std::uint64_t>(kept.st_size));
    CHECK(form.file_bytes > 0);
    CHECK(form.file_bytes < body.size());
    CHECK(is_uuid(form.session.text));
    CHECK(form.language.empty() || (form.language.size() >= 2 && form.language.size() <= 35));
  }
  ::close(in);
  ::close(out);
  return 0;
}
