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

const std::string some_session = "019a9a3e-7c1d-7b5e-9f00-3d2a4c5b6e70";
const std::string form_type = "multipart/form-data; boundary=bound";

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

const std::string some_file =
    part("file", "sound", "; filename=\"a.wav\"\r\nContent-Type: audio/wav");
const std::string form_end = "--bound--\r\n";

struct Outcome {
  std::variant<platform::VoiceForm, Problem> parsed;
  std::string file;
};

Outcome parse(const std::string& body, const std::string& type = form_type) {
  const File in(body);
  const File out;
  auto parsed = platform::parse_voice_form(in.fd(), body.size(), type, out.fd());
  return {std::move(parsed), out.bytes()};
}

platform::VoiceForm form(const std::string& body, const std::string& type = form_type) {
  auto parsed = parse(body, type).parsed;
  if (const auto* problem = std::get_if<Problem>(&parsed)) FAIL(problem->detail);
  return std::get<platform::VoiceForm>(parsed);
}

Problem problem(const std::string& body, const std::string& type = form_type) {
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
      parse(part("session_id", some_session) + some_file + part("language", "ar") + form_end);
  const auto& form = std::get<platform::VoiceForm>(parsed);
  CHECK(form.session.text == some_session);
  CHECK(form.language == "ar");
  CHECK(form.file_bytes == 5);
  CHECK(file == "sound");
}

TEST_CASE("the parts of a voice form come in any order") {
  CHECK(form(some_file + part("session_id", some_session) + form_end).session.text == some_session);
}

TEST_CASE("a voice form needs no language") {
  CHECK(form(part("session_id", some_session) + some_file + form_end).language.empty());
}

TEST_CASE("reading a voice form moves the offset of no file") {
  const std::string body = part("session_id", some_session) + some_file + form_end;
  const File in(body);
  const File out;
  platform::parse_voice_form(in.fd(), body.size(), form_type, out.fd());
  CHECK(::lseek(in.fd(), 0, SEEK_CUR) == 0);
  CHECK(::lseek(out.fd(), 0, SEEK_CUR) == 0);
}

TEST_CASE("the boundary of a voice form may be quoted") {
  std::string body = part("session_id", some_session) + some_file + form_end;
  for (std::size_t at = 0; (at = body.find("--bound", at)) != std::string::npos; at += 7) {
    body.replace(at, 7, "--b d ?");
  }
  CHECK(form(body, "multipart/form-data; charset=utf-8; boundary=\"b d ?\"").file_bytes == 5);
}

TEST_CASE("what is around the parts of a voice form means nothing") {
  CHECK(form("before\r\n" + part("session_id", some_session) + some_file + form_end + "behind")
            .file_bytes == 5);
}

TEST_CASE("blanks behind a boundary of a voice form mean nothing") {
  std::string body = part("session_id", some_session) + some_file + form_end;
  body.insert(7, " \t ");
  CHECK(form(body).file_bytes == 5);
}

TEST_CASE("the last line end of a voice form may be missing") {
  CHECK(form(part("session_id", some_session) + some_file + "--bound--").file_bytes == 5);
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
    const auto [parsed, out] =
        parse(part("file", file) + part("session_id", some_session) + form_end);
    INFO("round " << round);
    REQUIRE(std::holds_alternative<platform::VoiceForm>(parsed));
    REQUIRE(out == file);
  }
  CHECK(rounds > 100);
}

TEST_CASE("a voice form cut short anywhere is refused") {
  const std::string body = part("session_id", some_session) + some_file + "--bound--";
  for (std::size_t bytes = 0; bytes < body.size(); ++bytes) {
    CHECK(problem(body.substr(0, bytes)).status == 400);
  }
}

TEST_CASE("a voice form without a usable boundary is refused") {
  const std::string body = part("session_id", some_session) + some_file + form_end;
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
      "--" + boundary + "\r\nContent-Disposition: form-data; name=session_id\r\n\r\n" +
      some_session + "\r\n--" + boundary +
      "\r\nContent-Disposition: form-data; name=file\r\n\r\nx\r\n--" + boundary + "--";
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
    CHECK(problem(part("session_id", some_session) + "--bound\r\n" + header + "x\r\n" + form_end)
              .status == 400);
  }
}

TEST_CASE("a part of a voice form with a header that is too long is refused") {
  const std::string many = "\r\nX: y";
  std::string lines;
  for (int i = 0; i < 40; ++i) lines += many;
  CHECK(problem(part("file", "x", lines) + form_end).status == 400);
  CHECK(problem(part("file", "x", "\r\nX: " + std::string(9'000, 'y')) + form_end).status == 400);
  CHECK(problem(part("file", "x", "\r\n" + std::string(5'000, 'y') + ": z") + form_end).status ==
        400);
}

TEST_CASE("parts that a voice form lacks are named") {
  const Problem both = problem(part("language", "en") + form_end);
  CHECK(both.status == 422);
  CHECK(pointers(both) == Pointers{"/session_id", "/file"});
}

TEST_CASE("a part that a voice form has twice is named") {
  const std::string whole = part("session_id", some_session) + some_file + part("language", "en");
  CHECK(pointers(problem(whole + some_file + form_end)) == Pointers{"/file"});
  CHECK(pointers(problem(whole + part("session_id", some_session) + form_end)) ==
        Pointers{"/session_id"});
  CHECK(pointers(problem(whole + part("language", "en") + form_end)) == Pointers{"/language"});
}

TEST_CASE("a part that a voice form does not know is named") {
  const std::string whole = part("session_id", some_session) + some_file;
  CHECK(pointers(problem(whole + part("model", "x") + form_end)) == Pointers{"/model"});
  CHECK(pointers(problem(whole + part("a/b~c", "x") + form_end)) == Pointers{"/a~1b~0c"});
  CHECK(pointers(problem(whole + part(std::string(999, 'n'), "x") + form_end)) ==
        Pointers{"/" + std::string(64, 'n')});
}

TEST_CASE("an empty recording is refused") {
  const Problem empty = problem(part("session_id", some_session) + part("file", "") + form_end);
  CHECK(empty.status == 422);
  CHECK(pointers(empty) == Pointers{"/file"});
}

TEST_CASE("a language that is no tag is refused") {
  for (const std::string& tag : {std::string(), std::string("e"), std::string(36, 'e'),
                                 std::string("en_US"), std::string("en "), std::string(999, 'e')}) {
    INFO(tag);
    std::string form = part("session_id", some_session);
    form.append(some_file).append(part("language", tag)).append(form_end);
    const Problem bad = problem(form);
    CHECK(bad.status == 422);
    CHECK(pointers(bad) == Pointers{"/language"});
  }
}

TEST_CASE("a session id that is no UUID is told as what is wrong with the form") {
  for (const std::string& id : {std::string(), std::string("x"), some_session + "0",
                                some_session + "\r\n", std::string(100'000, 'x')}) {
    std::string form = part("session_id", id);
    form.append(some_file).append(form_end);
    const Problem bad = problem(form);
    CHECK(bad.status == 422);
    CHECK(pointers(bad) == Pointers{"/session_id"});
  }
}

TEST_CASE("a recording in another transfer encoding is refused") {
  const std::string encoded = "\r\nContent-Transfer-Encoding: ";
  const std::string session = part("session_id", some_session);
  CHECK(form(session + part("file", "x", encoded + "Binary") + form_end).file_bytes == 1);
  CHECK(form(session + part("file", "x", encoded + "8bit ") + form_end).file_bytes == 1);
  const Problem bad = problem(session + part("file", "eA==", encoded + "base64") + form_end);
  CHECK(bad.status == 422);
  CHECK(pointers(bad) == Pointers{"/file"});
}

TEST_CASE("a voice form of too many parts is refused") {
  std::string body;
  for (int i = 0; i < 10'000; ++i) body += part("x", "y");
  const Problem many = problem(body + form_end);
  CHECK(many.status == 422);
  CHECK(many.errors.size() == platform::kVoicePartsMax + 1);
}

TEST_CASE("a recording that cannot be written is told") {
  const std::string body = part("session_id", some_session) + some_file + form_end;
  const File in(body);
  const int full = ::open("/dev/full", O_WRONLY | O_CLOEXEC);
  const auto parsed = platform::parse_voice_form(in.fd(), body.size(), form_type, full);
  ::close(full);
  const auto& refused = std::get<Problem>(parsed);
  CHECK(refused.status == 503);
  CHECK(refused.retry_after.count() > 0);
}
