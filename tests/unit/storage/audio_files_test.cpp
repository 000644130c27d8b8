#include "storage/audio_files.h"

#include <filesystem>
#include <string>

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/base/temp_dir.h"

namespace parlance::storage {
namespace {

namespace fs = std::filesystem;

const SessionId some_session{"019a9a3f-10aa-7c22-8b11-6f5e4d3c2b1a"};
const std::string some_name = "019a9a40-0001-7d33-a111-111111111111";
const std::string other_name = "019a9a40-0002-7d33-a222-222222222222";

class Fixture {
 public:
  const fs::path path() const { return fs::path(directory_.path()) / "audio"; }
  const AudioFiles& files() const { return *files_; }

  Status keep(const SessionId& session, const std::string& name, const std::string& bytes,
              const std::string& type = "audio/mpeg") const {
    const auto file = files_->create();
    REQUIRE(file.has_value());
    REQUIRE(::write(file->get(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
    return files_->keep(file->get(), session, {name, type, bytes.size(), {}});
  }
  std::string read(const std::string& name) const {
    const auto audio = files_->read(some_session, name);
    if (!audio) return "error: " + std::string(to_string(audio.error().code));
    std::string bytes(static_cast<std::size_t>(audio->bytes), '\0');
    REQUIRE(::pread(audio->file->get(), bytes.data(), bytes.size(), 0) ==
            static_cast<ssize_t>(bytes.size()));
    return std::string(audio->type) + " " + bytes;
  }
  std::size_t count() const {
    std::size_t files = 0;
    for (const auto& each : fs::recursive_directory_iterator(path())) {
      files += each.is_regular_file() ? 1 : 0;
    }
    return files;
  }

 private:
  static std::unique_ptr<AudioFiles> open(const fs::path& path) {
    auto files = AudioFiles::open(path.string());
    REQUIRE(files.has_value());
    return std::move(*files);
  }
  test::TempDir directory_;
  std::unique_ptr<AudioFiles> files_ = open(path());
};

TEST_CASE("a recording that was kept is read with its type") {
  const Fixture f;
  REQUIRE(f.keep(some_session, some_name, "one").has_value());
  REQUIRE(f.keep(some_session, other_name, "two", "audio/wav").has_value());
  CHECK(f.read(some_name) == "audio/mpeg one");
  CHECK(f.read(other_name) == "audio/wav two");
}

TEST_CASE("recordings are for their owner alone") {
  const Fixture f;
  REQUIRE(f.keep(some_session, some_name, "one").has_value());
  struct stat folder {};
  struct stat file {};
  REQUIRE(::stat((f.path() / some_session.text).c_str(), &folder) == 0);
  REQUIRE(::stat((f.path() / some_session.text / (some_name + ".mp3")).c_str(), &file) == 0);
  CHECK((folder.st_mode & 0777) == 0700);
  CHECK((file.st_mode & 0777) == 0600);
}

TEST_CASE("a file that is not kept leaves nothing") {
  const Fixture f;
  {
    const auto file = f.files().create();
    REQUIRE(file.has_value());
    REQUIRE(::write(file->get(), "x", 1) == 1);
  }
  CHECK(f.count() == 0);
}

TEST_CASE("a recording takes the place of one that a crash has left") {
  const Fixture f;
  REQUIRE(f.keep(some_session, some_name, "one").has_value());
  REQUIRE(f.keep(some_session, some_name, "two").has_value());
  CHECK(f.read(some_name) == "audio/mpeg two");
  CHECK(f.count() == 1);
}

TEST_CASE("what is not there is not found, whatever it is called") {
  const Fixture f;
  REQUIRE(f.keep(some_session, some_name, "one").has_value());
  CHECK(f.read(other_name) == "error: not_found");
  CHECK(f.read("../" + some_session.text + "/" + some_name) == "error: not_found");
  CHECK(f.read("") == "error: not_found");
  CHECK_FALSE(f.files().read({".."}, some_name).has_value());
}

TEST_CASE("a recording is removed, and with the last one its folder") {
  const Fixture f;
  REQUIRE(f.keep(some_session, some_name, "one").has_value());
  REQUIRE(f.keep(some_session, other_name, "two").has_value());
  REQUIRE(f.files().remove(some_session, some_name).has_value());
  CHECK(f.read(some_name) == "error: not_found");
  CHECK(f.read(other_name) == "audio/mpeg two");
  REQUIRE(f.files().remove(some_session, other_name).has_value());
  CHECK_FALSE(fs::exists(f.path() / some_session.text));
  CHECK(f.files().remove(some_session, other_name).has_value());
}

TEST_CASE("all recordings of a session are erased, and no others") {
  const Fixture f;
  REQUIRE(f.keep(some_session, some_name, "one").has_value());
  REQUIRE(f.keep({"other"}, some_name, "two").has_value());
  REQUIRE(f.files().erase(some_session).has_value());
  CHECK(f.count() == 1);
  CHECK(f.files().read({"other"}, some_name).has_value());
  CHECK(f.files().erase(some_session).has_value());
}

TEST_CASE("what is read while it is erased stays readable to its end") {
  const Fixture f;
  REQUIRE(f.keep(some_session, some_name, "one").has_value());
  const auto audio = f.files().read(some_session, some_name);
  REQUIRE(f.files().erase(some_session).has_value());
  char byte = 0;
  CHECK(::pread(audio->file->get(), &byte, 1, 2) == 1);
  CHECK(byte == 'e');
}

TEST_CASE("a sweep removes what belongs to no session") {
  const Fixture f;
  REQUIRE(f.keep(some_session, some_name, "one").has_value());
  REQUIRE(f.keep({"gone"}, some_name, "two").has_value());
  const Status swept = f.files().sweep(
      std::chrono::hours(1), [](const SessionId& id) { return id == some_session; },
      [] { return true; });
  CHECK(swept.has_value());
  CHECK(f.count() == 1);
  CHECK(f.read(some_name) == "audio/mpeg one");
}

TEST_CASE("a sweep removes what is too old, and keeps everything where there is no age") {
  const Fixture f;
  REQUIRE(f.keep(some_session, some_name, "old").has_value());
  REQUIRE(f.keep(some_session, other_name, "new").has_value());
  const fs::path old = f.path() / some_session.text / (some_name + ".mp3");
  fs::last_write_time(old, fs::file_time_type::clock::now() - std::chrono::hours(2));
  const auto sweep = [&](std::chrono::milliseconds age) {
    return f.files().sweep(
        age, [](const SessionId&) { return true; }, [] { return true; });
  };
  CHECK(sweep({}).has_value());
  CHECK(f.count() == 2);
  CHECK(sweep(std::chrono::hours(1)).has_value());
  CHECK(f.read(some_name) == "error: not_found");
  CHECK(f.read(other_name) == "audio/mpeg new");
}

TEST_CASE("a sweep ends when it is told to") {
  const Fixture f;
  REQUIRE(f.keep({"gone"}, some_name, "two").has_value());
  CHECK(f.files()
            .sweep(
                {}, [](const SessionId&) { return false; }, [] { return false; })
            .has_value());
  CHECK(f.count() == 1);
}

}  // namespace
}  // namespace parlance::storage
