#include "tests/support/audio_files.h"

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <unistd.h>

namespace parlance::test {

AudioFolder::AudioFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "audio_test.XXXXXX").string();
  REQUIRE(mkdtemp(name.data()) != nullptr);
  folder_ = name;
}

AudioFolder::~AudioFolder() {
  std::filesystem::remove_all(folder_);
}

void AudioFolder::run(const std::string& command) const {
  const std::string log = path("log");
  // NOLINTNEXTLINE(concurrency-mt-unsafe)
  const int status = std::system(("timeout 60 " + command + " 2> " + log).c_str());
  INFO(command << "\n" << read_file(log));
  REQUIRE(status == 0);
}

std::string AudioFolder::make(const std::string& name, const std::string& input,
                              const std::string& coding) const {
  run("ffmpeg -nostdin -v error -y " + input + " " + coding + " " + path(name));
  return path(name);
}

std::string AudioFolder::speak(const std::string& name, const std::string& text) const {
  run("espeak-ng -v en -s 110 -w " + path(name) + " '" + text + "'");
  return path(name);
}

std::string AudioFolder::write(const std::string& name, const std::string& bytes) const {
  std::ofstream(path(name), std::ios::binary) << bytes;
  return path(name);
}

std::string AudioFolder::copy(const std::string& from, const std::string& name) const {
  std::filesystem::copy_file(from, path(name));
  return path(name);
}

OpenFile::OpenFile(const std::string& path)
    : descriptor_(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
  REQUIRE(descriptor_ >= 0);
}

OpenFile::~OpenFile() {
  close(descriptor_);
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string random_bytes(std::size_t size) {
  std::minstd_rand random(1);
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random() >> 8);
  return bytes;
}

}  // namespace parlance::test
