#include "auth/key_file.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include <catch2/catch.hpp>
#include <sys/stat.h>

#include "tests/unit/base/temp_dir.h"

namespace parlance::auth {
namespace {

namespace fs = std::filesystem;

std::string key_path(const test::TempDir& directory) {
  return directory / kKeyFileName;
}

void write_key(const test::TempDir& directory, const std::string& text, mode_t mode = 0600) {
  std::ofstream(key_path(directory)) << text;
  REQUIRE(::chmod(key_path(directory).c_str(), mode) == 0);
}

/// Why the key cannot be used, as "<code> <text>" without the path.
std::string refusal(const test::TempDir& directory) {
  const auto key = read_or_make_key(directory.path());
  REQUIRE_FALSE(key.has_value());
  const std::string& text = key.error().detail;
  CHECK(text.find(key_path(directory)) == 0);
  CHECK(key.error().code == Errc::failed_precondition);
  return text.substr(key_path(directory).size());
}

TEST_CASE("the first start makes a key and later ones read it") {
  const test::TempDir directory;
  const auto made = read_or_make_key(directory.path());
  REQUIRE(made.has_value());
  CHECK(made->size() == 43);
  const auto again = read_or_make_key(directory.path());
  REQUIRE(again.has_value());
  CHECK(*again == *made);
}

TEST_CASE("a key that was made can be read by its owner alone and leaves nothing beside it") {
  const test::TempDir directory;
  REQUIRE(read_or_make_key(directory.path()).has_value());
  CHECK(fs::status(key_path(directory)).permissions() ==
        (fs::perms::owner_read | fs::perms::owner_write));
  CHECK(std::distance(fs::directory_iterator(directory.path()), fs::directory_iterator()) == 1);
}

TEST_CASE("two directories get two keys") {
  const test::TempDir a;
  const test::TempDir b;
  CHECK(*read_or_make_key(a.path()) != *read_or_make_key(b.path()));
}

TEST_CASE("a key written by hand is read without its line's end") {
  const test::TempDir directory;
  const std::string key = "a key of thirty-two bytes or more";
  write_key(directory, key + "\n");
  const auto read = read_or_make_key(directory.path());
  REQUIRE(read.has_value());
  CHECK(*read == key);
}

TEST_CASE("a crash before the key was whole is as if it had not begun") {
  const test::TempDir directory;
  std::ofstream(key_path(directory) + ".new") << "half";
  CHECK(read_or_make_key(directory.path()).has_value());
  CHECK_FALSE(fs::exists(key_path(directory) + ".new"));
}

TEST_CASE("a key that others may read is refused and kept") {
  const test::TempDir directory;
  const auto [mode, shown] =
      GENERATE(table<mode_t, std::string>({{0640, "0640"}, {0604, "0604"}, {0620, "0620"}}));
  const std::string key(64, 'k');
  write_key(directory, key, mode);
  const std::string why = refusal(directory);
  CHECK(why == ", the key of access tokens, may be read by others than its owner (mode " + shown +
                   "); make it 0600, or remove it if others may have seen it: a new one is made");
  CHECK(fs::file_size(key_path(directory)) == key.size());
}

TEST_CASE("a key that is too short is refused without showing it") {
  const test::TempDir directory;
  const std::string key = GENERATE("", "\n", "short", "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk\n");
  write_key(directory, key);
  const std::string why = refusal(directory);
  CHECK(why.find(" is too short: ") != std::string::npos);
  CHECK(why.find("kkk") == std::string::npos);
}

TEST_CASE("a key that is too long is refused") {
  const test::TempDir directory;
  write_key(directory, std::string(1'025, 'k'));
  CHECK(refusal(directory) == ", the key of access tokens, is longer than 1024 bytes");
}

TEST_CASE("a key that is a directory or a pipe is refused at once") {
  const test::TempDir directory;
  if (GENERATE(true, false)) {
    REQUIRE(::mkdir(key_path(directory).c_str(), 0700) == 0);
  } else {
    REQUIRE(::mkfifo(key_path(directory).c_str(), 0600) == 0);
  }
  CHECK(refusal(directory) == ", the key of access tokens, is not a file");
}

TEST_CASE("a directory that is not there is told as such") {
  const test::TempDir directory;
  const auto key = read_or_make_key(directory / "missing");
  REQUIRE_FALSE(key.has_value());
  CHECK(key.error().code == Errc::unavailable);
  CHECK(key.error().detail.find("No such file or directory") != std::string::npos);
}

}  // namespace
}  // namespace parlance::auth
