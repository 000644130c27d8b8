// The runner, against the real program and against ones that hang, die and lie.

#include "extract/extractor.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include "extract/frame.h"
#include "tests/support/document_files.h"

namespace parlance::extract {
namespace {

using namespace std::chrono_literals;
using Why = Failure::Why;

/// Programs that stand in for parlance-extract: shell scripts in a folder of their own.
class FakeProgram {
 public:
  explicit FakeProgram(const std::string& script) {
    std::string name = (std::filesystem::temp_directory_path() / "extractor_test.XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    folder_ = name;
    std::ofstream(folder_ / "program") << "#!/bin/sh\n" << script;
    std::filesystem::permissions(folder_ / "program", std::filesystem::perms::owner_all);
  }
  ~FakeProgram() { std::filesystem::remove_all(folder_); }
  FakeProgram(const FakeProgram&) = delete;
  FakeProgram& operator=(const FakeProgram&) = delete;

  Options options() const {
    Options options;
    options.program = (folder_ / "program").string();
    return options;
  }

 private:
  std::filesystem::path folder_;
};

const std::string kHello = "echo 'parlance-extract 1'\n";
// A request of three bytes, as all of these tests make.
const std::string kHearRequest = "head -c 11 > /dev/null\n";

/// A shell command that writes an answer.
std::string answer(int outcome, std::size_t type_bytes, std::size_t text_bytes,
                   const std::string& rest, int leaving = 0) {
  std::string bytes;
  const auto append = [&](std::size_t number, int size) {
    for (int i = 0; i < size; ++i) bytes += fmt::format("\\{:03o}", (number >> (8 * i)) & 0xff);
  };
  append(text_bytes, 8);
  append(type_bytes, 4);
  append(static_cast<std::size_t>(outcome), 1);
  append(static_cast<std::size_t>(leaving), 1);
  append(0, 2);
  return fmt::format("printf '{}{}'\n", bytes, rest);
}

Failure failure_of(const Options& options, const std::vector<File>& files) {
  auto result = extract_texts(options, files);
  REQUIRE(std::holds_alternative<Failure>(result));
  return std::get<Failure>(std::move(result));
}

Failure failure_of(const std::string& script) {
  const FakeProgram program(script);
  return failure_of(program.options(), {{"a.txt", "abc"}});
}

std::vector<Text> texts_of(const std::vector<File>& files) {
  auto result = extract_texts({}, files);
  INFO((std::holds_alternative<Failure>(result) ? std::get<Failure>(result).detail : ""));
  REQUIRE(std::holds_alternative<std::vector<Text>>(result));
  return std::get<std::vector<Text>>(std::move(result));
}

bool has_children() {
  int status = 0;
  return waitpid(-1, &status, WNOHANG) >= 0 || errno != ECHILD;
}

}  // namespace

TEST_CASE("a batch comes back in its order, each file with its type") {
  const auto texts = texts_of({{"a", "Hello, مرحبا"},
                               {"b.txt", test::make_docx(test::paragraph("In Word"))},
                               {"c.docx", test::make_pdf({"In a PDF"})}});
  REQUIRE(texts.size() == 3);
  CHECK(texts[0].text == "Hello, مرحبا");
  CHECK(texts[1].text == "In Word\n");
  CHECK(texts[2].text == "In a PDF\n");
  CHECK(texts[2].type == "application/pdf");
}

TEST_CASE("an empty batch needs no process") {
  Options options;
  options.program = "/nothing";
  CHECK(std::holds_alternative<std::vector<Text>>(extract_texts(options, {})));
}

TEST_CASE("the child of a batch is reaped") {
  texts_of({{"a", "text"}});
  CHECK_FALSE(has_children());
}

TEST_CASE("Arabic in an old encoding is read in the confined process, too") {
  CHECK(texts_of({{"a",
                   "\xc7\xe1\xd3\xe1\xc7\xe3 \xda\xe1\xed\xdf\xe3 \xe6\xd1\xcd\xe3\xc9 "
                   "\xc7\xe1\xe1\xe5"}})[0]
            .text == "السلام عليكم ورحمة الله");
}

TEST_CASE("Arabic of a PDF is read in the confined process, too") {
  CHECK(texts_of({{"a", test::make_unicode_pdf(u"مكيلع مالس")}})[0].text == "سلام عليكم\n");
}

TEST_CASE("a batch fails with its first bad file and names it") {
  const Failure failure = failure_of(
      {}, {{"good.txt", "text"}, {"bad.pdf", "%PDF-1.4 and no more"}, {"worse.pdf", "%PDF-"}});
  CHECK(failure.why == Why::unreadable);
  CHECK(failure.file == 1);
  CHECK(failure.detail == "The file \"bad.pdf\" is broken or cut off and cannot be read.");
}

TEST_CASE("each reason of the child has its place") {
  CHECK(failure_of({}, {{"a", std::string("\x7f"
                                          "ELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0",
                                          18)}})
            .why == Why::unsupported_type);
  CHECK(failure_of({}, {{"a", ""}}).detail == "The file \"a\" has no text in it.");
  CHECK(failure_of({}, {{"a", test::make_encrypted_pdf()}}).detail ==
        "The file \"a\" is encrypted; send it without a password.");
  CHECK(failure_of({}, {{"a", std::string(100'000, '[')}}).why == Why::too_large);
}

TEST_CASE("a file past the limit is refused before a process starts") {
  Options options;
  options.program = "/nothing";
  options.file_bytes_max = 2;
  const Failure failure = failure_of(options, {{"a.txt", "abc"}});
  CHECK(failure.why == Why::too_large);
  CHECK(failure.detail == "The file \"a.txt\" has 3 bytes; at most 2 are allowed.");
}

TEST_CASE("text past the limit of a file is too large") {
  Options options;
  options.text_bytes_max = 2;
  CHECK(failure_of(options, {{"a.txt", "abc"}}).why == Why::too_large);
}

TEST_CASE("texts past the limit of a batch are too large") {
  Options options;
  options.batch_text_bytes_max = 5;
  const Failure failure = failure_of(options, {{"a", "abc"}, {"b", "abc"}});
  CHECK(failure.why == Why::too_large);
  CHECK(failure.file == 1);
}

TEST_CASE("a missing program is unavailable, and its path is not told") {
  Options options;
  options.program = "/nothing/here";
  const Failure failure = failure_of(options, {{"a.txt", "abc"}});
  CHECK(failure.why == Why::unavailable);
  CHECK(failure.detail.find("/nothing") == std::string::npos);
}

TEST_CASE("a program that ends before it is confined is unavailable") {
  CHECK(failure_of("exit 3\n").why == Why::unavailable);
}

TEST_CASE("a program that says something else first is unavailable") {
  CHECK(failure_of("echo 'something else altogether'\n").why == Why::unavailable);
}

TEST_CASE("a child that hangs on a file is ended at the limit") {
  // Does not read on either, which a large file notices first.
  const FakeProgram program(kHello + "exec tail -f /dev/null\n");
  Options options = program.options();
  options.file_timeout = 200ms;
  const Failure failure = failure_of(options, {{"a.txt", std::string(4 << 20, 'x')}});
  CHECK(failure.why == Why::timed_out);
  CHECK(failure.detail ==
        "The file \"a.txt\" took longer to read than the 200 ms that are allowed.");
  CHECK_FALSE(has_children());
}

TEST_CASE("a child that dies costs only its request") {
  const Failure failure = failure_of(kHello + kHearRequest + "kill -SEGV $$\n");
  CHECK(failure.why == Why::unreadable);
  CHECK(failure.detail == "The file \"a.txt\" is broken or cut off and cannot be read.");
}

TEST_CASE("a child that ran out of CPU time has timed out") {
  CHECK(failure_of(kHello + kHearRequest + "kill -XCPU $$\n").why == Why::timed_out);
}

TEST_CASE("a child that ends in the middle of an answer is not believed") {
  CHECK(failure_of(kHello + kHearRequest + answer(0, 10, 10, "text/plain")).why == Why::unreadable);
}

TEST_CASE("a child that claims more text than allowed is not believed") {
  CHECK(failure_of(kHello + kHearRequest + answer(0, 10, std::size_t{1} << 40, "text/plain")).why ==
        Why::unreadable);
}

TEST_CASE("a child that answers with ill-formed UTF-8 is not believed") {
  CHECK(failure_of(kHello + kHearRequest + answer(0, 10, 2, "text/plain\\303\\050")).why ==
        Why::unreadable);
}

TEST_CASE("a child that answers with a sentence for a type is not believed") {
  CHECK(failure_of(kHello + kHearRequest + answer(1, 5, 0, "a b c")).why == Why::unreadable);
}

TEST_CASE("a child that answers with an unknown outcome is not believed") {
  CHECK(failure_of(kHello + kHearRequest + answer(77, 0, 0, "")).why == Why::unreadable);
}

TEST_CASE("a child that leaves after an answer is followed by another") {
  const FakeProgram program(kHello + kHearRequest + answer(0, 10, 2, "text/plainok", 1));
  const std::vector<File> files = {{"a", "abc"}, {"b", "abc"}};
  const auto result = extract_texts(program.options(), files);
  REQUIRE(std::holds_alternative<std::vector<Text>>(result));
  CHECK(std::get<std::vector<Text>>(result).size() == 2);
}

TEST_CASE("a child has nothing of ours but its socket") {
  const int secret =
      open("/etc/hostname", O_RDONLY);  // Without O_CLOEXEC: it must not get through.
  REQUIRE(secret >= 0);
  setenv("EXTRACTOR_TEST_SECRET", "secret", 1);
  const FakeProgram program(kHello + kHearRequest +
                            "for fd in /proc/$$/fd/*; do case ${fd##*/} in\n"
                            "0|1|2|10) ;;\n"  // 10 is the script itself.
                            "*) test -e $fd && exit 1 ;;\n"
                            "esac; done\n"
                            "test -z \"$EXTRACTOR_TEST_SECRET\" || exit 1\n" +
                            answer(0, 10, 2, "text/plainok"));
  const std::vector<File> files = {{"a", "abc"}};
  const auto result = extract_texts(program.options(), files);
  close(secret);
  unsetenv("EXTRACTOR_TEST_SECRET");
  CHECK(std::holds_alternative<std::vector<Text>>(result));
}

TEST_CASE("file names in messages are shortened and made safe") {
  Options options;
  options.file_bytes_max = 0;
  const auto detail = [&](const std::string& name) {
    return failure_of(options, {{name, "a"}}).detail;
  };
  CHECK(detail("a\"\n\x1b[31m\xe2\x80\xae\xff")
            .starts_with("The file \"a???[31m?\xef\xbf\xbd\" has"));
  CHECK(detail(std::string(1000, 'x'))
            .starts_with("The file \"" + std::string(80, 'x') + "...\" has"));
  CHECK(detail("").starts_with("The file number 1 has"));
  CHECK(detail("تقرير.pdf").starts_with("The file \"تقرير.pdf\" has"));
}

TEST_CASE("many threads read at once") {
  std::vector<std::thread> threads;
  std::vector<std::size_t> read(8);
  for (std::size_t i = 0; i < read.size(); ++i) {
    threads.emplace_back([&read, i] {
      const std::vector<File> files = {{"a", "one"}, {"b", "two"}};
      const auto result = extract_texts({}, files);
      if (const auto* texts = std::get_if<std::vector<Text>>(&result)) read[i] = texts->size();
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(read == std::vector<std::size_t>(8, 2));
}

}  // namespace parlance::extract
