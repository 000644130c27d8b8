#include "dialects/voice_form.h"

#include <cstdio>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

using namespace parlance;
using dialects::Problem;
namespace platform = dialects::platform;

namespace {

const std::string kSession = "019a9a3e-7c1d-7b5e-9f00-3d2a4c5b6e70";
const std::string kType = "multipart/form-data; boundary=bound";

/// A file in memory.
class File {
 public:
  explicit File(const std::string& bytes = {}) : fd_(::memfd_create("form", MFD_CLOEXEC)) {
    REQUIRE(fd_ >= 0);
    REQUIRE(::pwrite(fd_, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
  }
  ~File() { ::close(fd_); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int fd() const { return fd_; }
  std::string bytes() const {
    std::string out(static_cast<std::size_t>(::lseek(fd_, 0, SEEK_END)), '\0');
    REQUIRE(::pread(fd_, out.data(), out.size(), 0) == static_cast<ssize_t>(out.size()));
    return out;
  }

 private:
  const int fd_;
};

std::string part(const std::string& name, const std::string& value, const std::string& more = {}) {
  return "--bound\r\nContent-Disposition: form-data; name=\"" + name + "\"" + more + "\r\n\r\n" +
         value + "\r\n";
}

const std::string kFile = part("file", "sound", "; filename=\"a.wav\"\r\nContent-Type: audio/wav");
const std::string kEnd = "--bound--\r\n";

struct Outcome {
  std::variant<platform::VoiceForm, Problem> parsed;
  std::string file;
};

Outcome parse(const std::string& body, const std::string& type = kType) {
  const File in(body);
  const File out;
  auto parsed = platform::parse_voice_form(in.fd(), body.size(), type, out.fd());
  return {std::move(parsed), out.bytes()};
}

platform::VoiceForm form(const std::string& body, const std::string& type = kType) {
  auto parsed = parse(body, type).parsed;
  if (const auto* problem = std::get_if<Problem>(&parsed)) FAIL(problem->detail);
  return std::get<platform::VoiceForm>(parsed);
}

Problem problem(const std::string& body, const std::string& type = kType) {
  auto parsed = parse(body, type).parsed;
  INFO(body);
  REQUIRE(std::holds_alternative<Problem>(parsed));
  return std::get<Problem>(parsed);
}

std::vector<std::string> pointers(const Problem& problem) {
  std::vector<std::string> out;
  for (const auto& error : problem.errors) out.push_back(error.pointer);
  return out;
}

/// The one thing that a recording cannot have.
bool has_boundary(const std::string& bytes) {
  const std::string delimiter = "\r\n--bound";
  for (std::size_t at = 0; (at = bytes.find(delimiter, at)) != std::string::npos; ++at) {
    const std::string behind = bytes.substr(at + delimiter.size(), 80);
    const std::size_t blanks = behind.find_first_not_of(" \t");
    if (behind.rfind("--", 0) == 0 || behind.compare(blanks, 2, "\r\n") == 0) return true;
  }
  return false;
}

using Pointers = std::vector<std::string>;

}  // namespace

TEST_CASE("a voice form gives its session, its language and its recording") {
  const auto [parsed, file] =
      parse(part("session_id", kSession) + kFile + part("language", "ar") + kEnd);
  const auto& form = std::get<platform::VoiceForm>(parsed);
  CHECK(form.session.text == kSession);
  CHECK(form.language == "ar");
  CHECK(form.file_bytes == 5);
  CHECK(file == "sound");
}

TEST_CASE("the parts of a voice form come in any order") {
  CHECK(form(kFile + part("session_id", kSession) + kEnd).session.text == kSession);
}

TEST_CASE("a voice form needs no language") {
  CHECK(form(part("session_id", kSession) + kFile + kEnd).language.empty());
}

TEST_CASE("reading a voice form moves the offset of no file") {
  const std::string body = part("session_id", kSession) + kFile + kEnd;
  const File in(body);
  const File out;
  platform::parse_voice_form(in.fd(), body.size(), kType, out.fd());
  CHECK(::lseek(in.fd(), 0, SEEK_CUR) == 0);
  CHECK(::lseek(out.fd(), 0, SEEK_CUR) == 0);
}

TEST_CASE("the boundary of a voice form may be quoted") {
  std::string body = part("session_id", kSession) + kFile + kEnd;
  for (std::size_t at = 0; (at = body.find("--bound", at)) != std::string::npos; at += 7) {
    body.replace(at, 7, "--b d ?");
  }
  CHECK(form(body, "multipart/form-data; charset=utf-8; boundary=\"b d ?\"").file_bytes == 5);
}

TEST_CASE("what is around the parts of a voice form means nothing") {
  CHECK(form("before\r\n" + part("session_id", kSession) + kFile + kEnd + "behind").file_bytes ==
        5);
}

TEST_CASE("blanks behind a boundary of a voice form mean nothing") {
  std::string body = part("session_id", kSession) + kFile + kEnd;
  body.insert(7, " \t ");
  CHECK(form(body).file_bytes == 5);
}

TEST_CASE("the last line end of a voice form may be missing") {
  CHECK(form(part("session_id", kSession) + kFile + "--bound--").file_bytes == 5);
}

TEST_CASE("recordings come out of a voice form byte for byte") {
  std::mt19937 random(20261121);
  const std::vector<std::string> delicate = {
      "\r",         "\n",           "\r\n",          "-",       "--",          "\r\n--",
      "\r\n--boun", "\r\n--bounds", "\r\n--bound x", "--bound", "\n--bound\n", "\r\n--bound\n",
      "\r\r\n--b",  "\r\n--bound-", "\r\n\r\n",      "\xff"};
  int rounds = 0;
  for (int round = 0; round < 300; ++round) {
    std::string file;
    const std::size_t pieces = random() % 40 + 1;
    for (std::size_t i = 0; i < pieces; ++i) {
      if (random() % 8 == 0) {
        // Up to where what is read ends, so that what is delicate lies across it.
        const std::size_t border = (file.size() / (64 << 10) + 1) * (64 << 10);
        const std::size_t end = border - random() % 300;
        while (file.size() < end) file += static_cast<char>(random());
      }
      file += delicate[random() % delicate.size()];
    }
    if (has_boundary("\r\n" + file + "\r\n")) continue;
    ++rounds;
    const auto [parsed, out] = parse(part("file", file) + part("session_id", kSession) + kEnd);
    INFO("round " << round);
    REQUIRE(std::holds_alternative<platform::VoiceForm>(parsed));
    REQUIRE(out == file);
  }
  CHECK(rounds > 100);
}

TEST_CASE("a voice form cut short anywhere is refused") {
  const std::string body = part("session_id", kSession) + kFile + "--bound--";
  for (std::size_t bytes = 0; bytes < body.size(); ++bytes) {
    CHECK(problem(body.substr(0, bytes)).status == 400);
  }
}

TEST_CASE("a voice form without a usable boundary is refused") {
  const std::string body = part("session_id", kSession) + kFile + kEnd;
  for (const std::string& type :
       {std::string("multipart/form-data"), std::string("multipart/form-data; boundary="),
        std::string("multipart/form-data; boundary=\"\""),
        "multipart/form-data; boundary=" + std::string(71, 'b'),
        std::string("multipart/form-data; boundary=b\xc3\xa4"),
        std::string("multipart/form-data; boundary=other"), std::string(";=;\"")}) {
    INFO(type);
    CHECK(problem(body, type).status == 400);
  }
}

TEST_CASE("a boundary of the greatest length is taken") {
  const std::string boundary(70, 'b');
  const std::string body =
      "--" + boundary + "\r\nContent-Disposition: form-data; name=session_id\r\n\r\n" + kSession +
      "\r\n--" + boundary + "\r\nContent-Disposition: form-data; name=file\r\n\r\nx\r\n--" +
      boundary + "--";
  CHECK(form(body, "multipart/form-data; boundary=" + boundary).file_bytes == 1);
}

TEST_CASE("a part of a voice form without a whole header is refused") {
  for (const char* header :
       {"", "\r\n", "Content-Disposition: form-data; name=file\r\n", "no header\r\n\r\n",
        "Content-Type: audio/wav\r\n\r\n", "Content-Disposition: attachment; name=file\r\n\r\n",
        "Content-Disposition: form-data\r\n\r\n", "Content-Disposition: form-data; name\r\n\r\n",
        "Content-Disposition: form-data; name=file\n\n",
        "--bound\r\nContent-Disposition: form-data; name=file\r\n\r\n"}) {
    INFO(header);
    CHECK(problem(part("session_id", kSession) + "--bound\r\n" + header + "x\r\n" + kEnd).status ==
          400);
  }
}

TEST_CASE("a part of a voice form with a header that is too long is refused") {
  const std::string many = "\r\nX: y";
  std::string lines;
  for (int i = 0; i < 40; ++i) lines += many;
  CHECK(problem(part("file", "x", lines) + kEnd).status == 400);
  CHECK(problem(part("file", "x", "\r\nX: " + std::string(9'000, 'y')) + kEnd).status == 400);
  CHECK(problem(part("file", "x", "\r\n" + std::string(5'000, 'y') + ": z") + kEnd).status == 400);
}

TEST_CASE("parts that a voice form lacks are named") {
  const Problem both = problem(part("language", "en") + kEnd);
  CHECK(both.status == 422);
  CHECK(pointers(both) == Pointers{"/session_id", "/file"});
}

TEST_CASE("a part that a voice form has twice is named") {
  const std::string whole = part("session_id", kSession) + kFile + part("language", "en");
  CHECK(pointers(problem(whole + kFile + kEnd)) == Pointers{"/file"});
  CHECK(pointers(problem(whole + part("session_id", kSession) + kEnd)) == Pointers{"/session_id"});
  CHECK(pointers(problem(whole + part("language", "en") + kEnd)) == Pointers{"/language"});
}

TEST_CASE("a part that a voice form does not know is named") {
  const std::string whole = part("session_id", kSession) + kFile;
  CHECK(pointers(problem(whole + part("model", "x") + kEnd)) == Pointers{"/model"});
  CHECK(pointers(problem(whole + part("a/b~c", "x") + kEnd)) == Pointers{"/a~1b~0c"});
  CHECK(pointers(problem(whole + part(std::string(999, 'n'), "x") + kEnd)) ==
        Pointers{"/" + std::string(64, 'n')});
}

TEST_CASE("an empty recording is refused") {
  const Problem empty = problem(part("session_id", kSession) + part("file", "") + kEnd);
  CHECK(empty.status == 422);
  CHECK(pointers(empty) == Pointers{"/file"});
}

TEST_CASE("a language that is no tag is refused") {
  for (const std::string& tag : {std::string(), std::string("e"), std::string(36, 'e'),
                                 std::string("en_US"), std::string("en "), std::string(999, 'e')}) {
    INFO(tag);
    const Problem bad =
        problem(part("session_id", kSession) + kFile + part("language", tag) + kEnd);
    CHECK(bad.status == 422);
    CHECK(pointers(bad) == Pointers{"/language"});
  }
}

TEST_CASE("a session id that is no UUID is told as what is wrong with the form") {
  for (const std::string& id : {std::string(), std::string("x"), kSession + "0", kSession + "\r\n",
                                std::string(100'000, 'x')}) {
    const Problem bad = problem(part("session_id", id) + kFile + kEnd);
    CHECK(bad.status == 422);
    CHECK(pointers(bad) == Pointers{"/session_id"});
  }
}

TEST_CASE("a recording in another transfer encoding is refused") {
  const std::string encoded = "\r\nContent-Transfer-Encoding: ";
  const std::string session = part("session_id", kSession);
  CHECK(form(session + part("file", "x", encoded + "Binary") + kEnd).file_bytes == 1);
  CHECK(form(session + part("file", "x", encoded + "8bit ") + kEnd).file_bytes == 1);
  const Problem bad = problem(session + part("file", "eA==", encoded + "base64") + kEnd);
  CHECK(bad.status == 422);
  CHECK(pointers(bad) == Pointers{"/file"});
}

TEST_CASE("a voice form of too many parts is refused") {
  std::string body;
  for (int i = 0; i < 10'000; ++i) body += part("x", "y");
  const Problem many = problem(body + kEnd);
  CHECK(many.status == 422);
  CHECK(many.errors.size() == platform::kVoicePartsMax + 1);
}

TEST_CASE("a recording that cannot be written is told") {
  const std::string body = part("session_id", kSession) + kFile + kEnd;
  const File in(body);
  const int full = ::open("/dev/full", O_WRONLY | O_CLOEXEC);
  const auto parsed = platform::parse_voice_form(in.fd(), body.size(), kType, full);
  ::close(full);
  const auto& refused = std::get<Problem>(parsed);
  CHECK(refused.status == 503);
  CHECK(refused.retry_after.count() > 0);
}
