// Audio files for tests, made by ffmpeg and espeak-ng, in a folder of their own.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

namespace parlance::test {

class AudioFolder {
 public:
  AudioFolder();
  ~AudioFolder();
  AudioFolder(const AudioFolder&) = delete;
  AudioFolder& operator=(const AudioFolder&) = delete;

  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  /// Runs ffmpeg with `input` and `coding`, both in its own words; the path of the new file.
  std::string make(const std::string& name, const std::string& input,
                   const std::string& coding) const;
  /// Runs espeak-ng, slowly; the path of the new WAV.
  std::string speak(const std::string& name, const std::string& text) const;
  std::string write(const std::string& name, const std::string& bytes) const;
  std::string copy(const std::string& from, const std::string& name) const;

 private:
  void run(const std::string& command) const;
  std::filesystem::path folder_;
};

/// A file open for reading.
class OpenFile {
 public:
  explicit OpenFile(const std::string& path);
  ~OpenFile();
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  int descriptor() const { return descriptor_; }

 private:
  int descriptor_;
};

std::string read_file(const std::string& path);

/// The same bytes each time.
std::string random_bytes(std::size_t size);

}  // namespace parlance::test
