#include "dialects/voice_form.h"

#include <algorithm>
#include <cerrno>
#include <exception>
#include <optional>
#include <sstream>
#include <system_error>
#include <utility>
#include <vector>

#include <Poco/Exception.h>
#include <Poco/Net/MessageHeader.h>
#include <Poco/Net/NameValueCollection.h>
#include <Poco/String.h>
#include <fmt/format.h>
#include <unistd.h>

#include "base/json.h"
#include "base/uuid.h"
#include "dialects/platform.h"

namespace parlance::dialects::platform {
namespace {

using Poco::Net::MessageHeader;
using Poco::Net::NameValueCollection;

constexpr std::size_t kPieceBytes = 64 << 10;
constexpr std::size_t kBoundaryBytesMax = 70;  // RFC 2046, 5.1.1.
/// Blanks that some mailers put behind a boundary.
constexpr std::size_t kPaddingBytesMax = 32;
constexpr std::size_t kTextBytesMax = 256;
constexpr std::size_t kNameBytesShown = 64;
constexpr int kPartHeadersMax = 16;

Problem malformed(const std::string& detail) {
  return {.status = 400, .detail = "the form cannot be read: " + detail};
}

Problem disk_failed(int reason) {
  Problem problem{
      .status = 503,
      .detail = "the recording cannot be kept now: " + std::generic_category().message(reason)};
  problem.retry_after = std::chrono::seconds(1);
  return problem;
}

/// A place in the body that moves forward, and the bytes behind it that were read.
class BodyPlace {
 public:
  /// The body begins with a boundary as if it came after the end of a line.
  BodyPlace(int fd, std::uint64_t bytes) : fd_(fd), left_(bytes), read_("\r\n") {}

  std::string_view ahead() const { return std::string_view(read_).substr(at_); }
  void skip(std::size_t bytes) { at_ += bytes; }
  bool all_read() const { return left_ == 0; }
  /// Reads on; why that failed, with 0 for a file that is shorter than it was said to be.
  std::optional<int> read_more() {
    read_.erase(0, std::exchange(at_, 0));
    const std::size_t before = read_.size();
    const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(kPieceBytes, left_));
    read_.resize(before + wanted);
    ssize_t got = -1;
    do {
      got = ::pread(fd_, read_.data() + before, wanted, static_cast<off_t>(offset_));
    } while (got < 0 && errno == EINTR);
    const int reason = got < 0 ? errno : 0;
    read_.resize(before + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (got <= 0) return reason;
    offset_ += static_cast<std::uint64_t>(got);
    left_ -= static_cast<std::uint64_t>(got);
    return std::nullopt;
  }

 private:
  const int fd_;
  std::uint64_t offset_ = 0;
  std::uint64_t left_;
  std::string read_;
  std::size_t at_ = 0;
};

enum class PartKind : std::uint8_t { session, language, file, other };

/// What one part says of itself.
struct PartHeader {
  std::string name;
  bool is_encoded = false;  ///< In another transfer encoding than none.
};

class FormReader {
 public:
  FormReader(int body_fd, std::uint64_t bytes, int file_fd)
      : body_(body_fd, bytes), file_fd_(file_fd) {}

  std::variant<VoiceForm, Problem> read(std::string_view content_type);

 private:
  std::optional<Problem> read_boundary(std::string_view content_type);
  std::optional<Problem> read_more();
  template <class Sink>
  std::optional<Problem> read_to_boundary(Sink sink);
  std::optional<Problem> read_header(PartHeader& header);
  std::optional<Problem> read_part();
  std::optional<Problem> read_text(std::string& text);
  std::optional<Problem> write_file(std::string_view bytes);
  PartKind begin_part(const PartHeader& header);
  void check_parts();

  BodyPlace body_;
  const int file_fd_;
  std::string delimiter_;  ///< What comes before each part and behind the last.
  bool ended_ = false;     ///< The last boundary was read.
  std::optional<std::string> session_;
  std::optional<std::string> language_;
  bool has_file_ = false;
  std::uint64_t file_bytes_ = 0;
  std::vector<FieldError> errors_;
};

bool is_boundary_character(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
         std::string_view("'()+_,-./:=? ").find(c) != std::string_view::npos;
}

std::optional<Problem> FormReader::read_boundary(std::string_view content_type) {
  std::string boundary;
  try {
    std::string type;
    NameValueCollection parameters;
    MessageHeader::splitParameters(std::string(content_type), type, parameters);
    boundary = parameters.get("boundary", "");
  } catch (const Poco::Exception&) {
    boundary.clear();
  }
  if (boundary.empty()) return malformed("Content-Type names no boundary");
  if (boundary.size() > kBoundaryBytesMax || boundary.back() == ' ' ||
      !std::all_of(boundary.begin(), boundary.end(), is_boundary_character)) {
    return malformed(fmt::format(
        "the boundary in Content-Type must be 1 to {} of A-Z a-z 0-9 ' ( ) + _ , - . / : = ? and "
        "space, and not end in a space",
        kBoundaryBytesMax));
  }
  delimiter_ = "\r\n--" + boundary;
  return std::nullopt;
}

std::optional<Problem> FormReader::read_more() {
  if (body_.all_read()) return malformed("it is cut short; the last boundary is missing");
  if (const auto reason = body_.read_more()) return disk_failed(*reason == 0 ? EIO : *reason);
  return std::nullopt;
}

// Poco's own MultipartReader is not used: it takes bytes of a part that look like the beginning of
// its end, such as a last line of "--", for other bytes than they are.

/// Gives all up to the next boundary to `sink`, and skips that.
template <class Sink>
std::optional<Problem> FormReader::read_to_boundary(Sink sink) {
  const std::size_t line_bytes_max = delimiter_.size() + kPaddingBytesMax + 2;
  std::size_t from = 0;
  while (true) {
    const std::string_view ahead = body_.ahead();
    const std::size_t found = ahead.find(delimiter_, from);
    const bool whole = found != std::string_view::npos &&
                       (ahead.size() - found >= line_bytes_max || body_.all_read());
    if (!whole) {
      const std::size_t before =
          found != std::string_view::npos
              ? found
              : std::max(from, ahead.size() - std::min(ahead.size(), delimiter_.size() - 1));
      if (auto problem = sink(ahead.substr(0, before))) return problem;
      body_.skip(before);
      from = 0;
      if (auto problem = read_more()) return problem;
      continue;
    }
    const std::string_view behind = ahead.substr(found + delimiter_.size());
    const std::size_t padding = std::min(behind.find_first_not_of(" \t"), behind.size());
    ended_ = behind.starts_with("--");
    if (!ended_ && (padding > kPaddingBytesMax || !behind.substr(padding).starts_with("\r\n"))) {
      from = found + 1;  // The same letters go on: it belongs to the part.
      continue;
    }
    if (auto problem = sink(ahead.substr(0, found))) return problem;
    body_.skip(found + delimiter_.size() + (ended_ ? 2 : padding + 2));
    return std::nullopt;
  }
}

std::optional<Problem> FormReader::read_header(PartHeader& header) {
  constexpr std::string_view kEnd = "\r\n\r\n";
  std::size_t end = std::string_view::npos;
  while ((end = body_.ahead().find(kEnd)) == std::string_view::npos &&
         body_.ahead().size() < kVoicePartHeaderBytesMax) {
    if (auto problem = read_more()) return problem;
  }
  if (end == std::string_view::npos || end > kVoicePartHeaderBytesMax) {
    return malformed(
        fmt::format("the header of a part is over {} bytes", kVoicePartHeaderBytesMax));
  }
  const std::string lines(body_.ahead().substr(0, end + kEnd.size()));
  // Poco leaves out lines that are no header, a boundary among them.
  if (lines.starts_with("\r\n") || ("\r\n" + lines).find(delimiter_) != std::string::npos) {
    return malformed("a part has no header that ends with an empty line");
  }
  body_.skip(end + kEnd.size());
  try {
    MessageHeader fields;
    fields.setFieldLimit(kPartHeadersMax);
    std::istringstream stream(lines);
    fields.read(stream);
    std::string disposition;
    NameValueCollection parameters;
    MessageHeader::splitParameters(fields.get("Content-Disposition", ""), disposition, parameters);
    header.name = parameters.get("name", "");
    if (Poco::icompare(disposition, "form-data") != 0 || header.name.empty()) {
      return malformed("a part needs Content-Disposition: form-data with a name");
    }
    const std::string encoding =
        Poco::toLower(Poco::trim(fields.get("Content-Transfer-Encoding", "binary")));
    header.is_encoded = encoding != "binary" && encoding != "8bit" && encoding != "7bit";
  } catch (const Poco::Exception&) {
    return malformed("the header of a part is malformed");
  }
  return std::nullopt;
}

/// A JSON Pointer to the part that a client called `name`.
std::string pointer_to(std::string_view name) {
  std::string out = "/";
  for (const char c : json::to_valid_utf8(name.substr(0, kNameBytesShown))) {
    if (c == '~') {
      out += "~0";
    } else if (c == '/') {
      out += "~1";
    } else {
      out += c;
    }
  }
  return out;
}

PartKind FormReader::begin_part(const PartHeader& header) {
  const std::string pointer = pointer_to(header.name);
  PartKind kind = PartKind::other;
  bool is_second = false;
  if (header.name == "session_id") {
    kind = PartKind::session;
    is_second = session_.has_value();
  } else if (header.name == "language") {
    kind = PartKind::language;
    is_second = language_.has_value();
  } else if (header.name == "file") {
    kind = PartKind::file;
    is_second = std::exchange(has_file_, true);
  } else {
    errors_.push_back({pointer, fmt::format("there is no part `{}`; the parts are `session_id`, "
                                            "`file` and `language`",
                                            pointer.substr(1))});
    return kind;
  }
  if (header.is_encoded) {
    errors_.push_back({pointer, fmt::format("`{}` has a Content-Transfer-Encoding other than "
                                            "binary, 8bit and 7bit",
                                            header.name)});
  }
  if (!is_second) return kind;
  errors_.push_back({pointer, fmt::format("`{}` is given more than once", header.name)});
  return PartKind::other;
}

std::optional<Problem> FormReader::read_text(std::string& text) {
  return read_to_boundary([&text](std::string_view bytes) -> std::optional<Problem> {
    // One byte more than is allowed tells that it is too long.
    text += bytes.substr(0, kTextBytesMax + 1 - text.size());
    return std::nullopt;
  });
}

std::optional<Problem> FormReader::write_file(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t put =
        ::pwrite(file_fd_, bytes.data(), bytes.size(), static_cast<off_t>(file_bytes_));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return disk_failed(put < 0 ? errno : ENOSPC);
    file_bytes_ += static_cast<std::uint64_t>(put);
    bytes.remove_prefix(static_cast<std::size_t>(put));
  }
  return std::nullopt;
}

std::optional<Problem> FormReader::read_part() {
  PartHeader header;
  if (auto problem = read_header(header)) return problem;
  switch (begin_part(header)) {
    case PartKind::session:
      return read_text(session_.emplace());
    case PartKind::language:
      return read_text(language_.emplace());
    case PartKind::file:
      return read_to_boundary([this](std::string_view bytes) { return write_file(bytes); });
    case PartKind::other:
      break;
  }
  return read_to_boundary([](std::string_view) { return std::optional<Problem>(); });
}

bool is_language_tag(std::string_view tag) {
  return tag.size() >= 2 && tag.size() <= 35 && std::all_of(tag.begin(), tag.end(), [](char c) {
           return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                  c == '-';
         });
}

void FormReader::check_parts() {
  if (!session_) {
    errors_.push_back({"/session_id", "`session_id` is needed"});
  } else if (!is_uuid(*session_)) {
    errors_.push_back({"/session_id", "`session_id` must be a UUID in lower case"});
  }
  if (!has_file_) {
    errors_.push_back({"/file", "`file` is needed: the recording"});
  } else if (file_bytes_ == 0) {
    errors_.push_back({"/file", "`file` is empty; it must be the recording"});
  }
  if (language_ && !is_language_tag(*language_)) {
    errors_.push_back(
        {"/language", "`language` must be 2 to 35 of A-Z a-z 0-9 -, such as en or en-US"});
  }
}

std::variant<VoiceForm, Problem> FormReader::read(std::string_view content_type) {
  if (auto problem = read_boundary(content_type)) return std::move(*problem);
  // What comes before the first boundary means nothing (RFC 2046, 5.1.1).
  auto problem = read_to_boundary([](std::string_view) { return std::optional<Problem>(); });
  for (std::size_t parts = 0; !problem && !ended_; ++parts) {
    if (parts == kVoicePartsMax) {
      errors_.push_back({"", fmt::format("the form has more than {} parts", kVoicePartsMax)});
      return invalid_body(std::move(errors_));
    }
    problem = read_part();
  }
  if (problem) return std::move(*problem);
  check_parts();
  if (!errors_.empty()) return invalid_body(std::move(errors_));
  return VoiceForm{SessionId{std::move(*session_)}, std::move(language_).value_or(""), file_bytes_};
}

}  // namespace

std::variant<VoiceForm, Problem> parse_voice_form(int body_fd, std::uint64_t bytes,
                                                  std::string_view content_type, int file_fd) {
  try {
    return FormReader(body_fd, bytes, file_fd).read(content_type);
  } catch (const std::exception&) {
    return disk_failed(ENOMEM);
  }
}

}  // namespace parlance::dialects::platform
